"""One run: a seed goes in, what the observer found comes out."""

import secrets
from collections import Counter
from dataclasses import dataclass
from itertools import islice

from durability.audit.violation import Violation
from durability.invariants.events import Settled
from durability.invariants.observer import Observer, all_properties
from durability.invariants.sometimes import Sometimes
from durability.simulation.action import Action
from durability.simulation.cluster import Cluster
from durability.simulation.options import Options
from durability.simulation.schedule import Schedule

# Numbers, since the hash of a text is another one in every process.
_ROLES = {"follower": 0, "pre-candidate": 1, "candidate": 2, "leader": 3}


@dataclass(frozen=True, slots=True)
class Run:
    """What one run did, and whether it held.

    `violation_step` is the number of actions after which the first violation was there, None
    without one; `actions` are those performed, which `replay` performs again. `states` are digests
    of the abstract states passed through: roles, and how terms, logs and commits compare.
    """

    seed: int
    options: Options
    actions: list[Action]
    violations: list[Violation]
    violation_step: int | None
    events: Counter[str]
    sometimes: Counter[str]
    checks: int
    max_term: int
    had_leader: bool
    states: frozenset[int]
    digest: str


def run(options: Options, seed: int | None, steps: int, *, settle: bool = True) -> Run:
    """Run a cluster for so many actions, and then, unless it broke, without faults until it agrees.

    Without a seed one is drawn.
    """
    seed = secrets.randbits(64) if seed is None else seed
    judged = Judged(options, seed)
    schedule = Schedule(judged.cluster, options, seed)
    for action in islice(schedule.draw(), steps):
        if judged.perform(action):
            return judged.result()
    if settle:
        for action in schedule.draw_settlement():
            if judged.perform(action):
                return judged.result()
        judged.settle(*schedule.settled())
    return judged.result()


def replay(options: Options, seed: int, actions: list[Action]) -> Run:
    """Perform these actions, up to the first violation."""
    judged = Judged(options, seed)
    for action in actions:
        if judged.perform(action):
            break
    return judged.result()


class Judged:
    """A cluster, and the observer that watches it."""

    def __init__(self, options: Options, seed: int) -> None:
        self._sometimes = Sometimes()
        self.observer = Observer(
            [
                *all_properties(
                    options.election_timeout_ticks_min,
                    options.election_timeout_ticks_max,
                    pre_vote=options.pre_vote,
                ),
                self._sometimes,
            ]
        )
        self.cluster = Cluster(options, seed, self.observer.observe)
        self._options = options
        self._seed = seed
        self._actions: list[Action] = []
        self._violation_step: int | None = None
        self._states: set[int] = set()

    def perform(self, action: Action) -> bool:
        """Perform an action; True if something is broken now."""
        self._actions.append(action)
        self.cluster.perform(action)
        self._states.add(self._abstract_state())
        if not self.observer.violations and not self.cluster.failures:
            return False
        if self._violation_step is None:
            self._violation_step = len(self._actions)
        return True

    def settle(self, nodes: frozenset[int], ticks: int) -> None:
        """Judge how things are after so many ticks without a fault."""
        self.observer.observe(Settled(nodes, ticks))
        if self.observer.violations:
            self._violation_step = len(self._actions)

    def _abstract_state(self) -> int:
        nodes = self.observer.record.nodes.values()
        term = min(node.term for node in nodes)
        commit_index = min(node.commit_index for node in nodes)
        return hash(
            tuple(
                [
                    (
                        node.running,
                        _ROLES[node.role],
                        node.term - term,
                        node.last_index - node.commit_index,
                        node.commit_index - commit_index,
                    )
                    for node in nodes
                ]
            )
        )

    def result(self) -> Run:
        """Say what came of it."""
        record = self.observer.record
        return Run(
            seed=self._seed,
            options=self._options,
            actions=self._actions,
            violations=[*self.cluster.failures, *self.observer.violations],
            violation_step=self._violation_step,
            events=self.observer.events,
            sometimes=self._sometimes.seen,
            checks=self.observer.checks,
            max_term=max((node.term for node in record.nodes.values()), default=0),
            had_leader=bool(record.leader_of),
            states=frozenset(self._states),
            digest=self.cluster.digest,
        )
