"""Small worlds: every order of events of a few nodes in a few terms, on the real node.

The search is breadth first. The real code runs only where a node meets an input in a state that it
was never in before: the outcome is kept, and the search works on numbers that stand for node states
and messages. So it is fast, and what it explores is `raft.node.Node`, not a model of it.

**What an event is.** A node times out, once or twice; a message is delivered, alone or with what is
answered to it; a node crashes and recovers; a leader takes a command, or sends heartbeats. Messages
arrive in any order, or never. The network holds `in_flight_max` of them: sending more loses the
oldest.

**What makes two states one.** Clocks are left out: a node times out when the search says so, and a
request for a vote comes when its receiver has not heard its leader for a while. States
that differ only in who is who are one (symmetry). Both leave out nothing that is wrong: whatever is
reported has been executed, event by event.

**What is judged**: P1, P3, P4, P6, P7 and P10 of `durability.invariants`, in the form that fits a
search, where each state is judged with what its past has left: who led, what was committed.

**Not here**: membership, snapshots, reads, and crashes in the middle of a call. A crash is a power
cut: it takes from a leader what it has proposed and not synced.
"""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from durability.invariants.commit_monotonic import CommitMonotonic
from durability.invariants.commit_on_quorum import CommitOnQuorum
from durability.invariants.election_safety import ElectionSafety
from durability.invariants.leader_completeness import LeaderCompleteness
from durability.invariants.log_matching import LogMatching
from durability.invariants.property import Property
from durability.invariants.vote_once import VoteOnce
from durability.simulation.node_states import Input, NodeStates, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How far a world goes: terms and entries beyond the bootstrap, crashes and heartbeats in all.

    Heartbeats are numbered, so without their bound no world would end.
    """

    nodes: int = 3
    terms: int = 4
    entries: int = 3
    crashes: int = 1
    heartbeats: int = 1
    in_flight_max: int = 2
    states_max: int | None = None
    pre_vote: bool = False


class Step(NamedTuple):
    """One event: a node's input, and whether what it answers is delivered along with it."""

    node: int
    input: Input
    is_round_trip: bool = False


class Past(NamedTuple):
    """What is to be known of the past: (term, node) of each leader, (entry, term) of each commit.

    `crashes` and `heartbeats` are those that may still come.
    """

    leaders: tuple[tuple[int, int], ...]
    committed: tuple[tuple[int, int], ...]
    crashes: int
    heartbeats: int


class State(NamedTuple):
    """A state of the world: the numbers of the nodes' states and of the messages on their way."""

    nodes: tuple[int, ...]
    in_flight: tuple[int, ...]
    past: Past


@dataclass(frozen=True, slots=True)
class Broken:
    """A property that does not hold any more, and how it shows."""

    property: type[Property]
    message: str


@dataclass(frozen=True, slots=True)
class Exploration:
    """What an exploration came to. `schedule` leads to `broken`; both are empty where all held.

    `is_complete` says that no state within the bounds was left out.
    """

    distinct_states: int
    transitions: int
    node_states: int
    depth: int
    is_complete: bool
    cpu_s: float
    broken: Broken | None = None
    schedule: tuple[str, ...] = ()

    @property
    def states_per_second(self) -> float:
        """Distinct states a second of CPU time."""
        return self.distinct_states / self.cpu_s if self.cpu_s else 0.0

    def __str__(self) -> str:
        extent = "all" if self.is_complete else "first"
        text = (
            f"{extent} {self.distinct_states} distinct states to depth {self.depth}, "
            f"{self.transitions} transitions, {self.node_states} node states, "
            f"{self.cpu_s:.1f} s, {self.states_per_second:.0f} states/s"
        )
        if self.broken is None:
            return text + ": held"
        steps = "".join(f"\n  {number:2} {step}" for number, step in enumerate(self.schedule, 1))
        return f"{text}: {self.broken.property.id} broken, {self.broken.message}{steps}"


class World:
    """A group within its bounds."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.node_states = NodeStates(bounds.nodes, pre_vote=bounds.pre_vote)
        self._term_max = 1 + bounds.terms
        self._last_index_max = 1 + bounds.entries

    def initial(self) -> State:
        """Return the state after the bootstrap."""
        past = Past((), (), self.bounds.crashes, self.bounds.heartbeats)
        return State(self.node_states.initial, (), past)

    def steps(self, state: State) -> Iterator[Step]:
        """Say what can happen next."""
        for node, number in enumerate(state.nodes):
            facts = self.node_states.facts[number]
            for times in (1, 2):
                if facts.term + times <= self._term_max:
                    yield Step(node, ("timeout", times))
            if state.past.crashes:
                yield Step(node, ("crash", 0))
            if facts.is_leader:
                if len(facts.log) < self._last_index_max:
                    yield Step(node, ("propose", 0))
                if state.past.heartbeats:
                    yield Step(node, ("heartbeat", 0))
        for message in state.in_flight:
            receiver = self.node_states.ways[message][1]
            yield Step(receiver, ("deliver", message))
            yield Step(receiver, ("deliver", message), is_round_trip=True)

    def describe(self, step: Step) -> str:
        """Say what a step is, for people."""
        kind, number = step.input
        if kind == "deliver":
            text = f"deliver {self.node_states.describe(number)}"
            return f"{text}, and the answer" if step.is_round_trip else text
        what = {
            "timeout": f"times out {'twice' if number > 1 else 'once'}",
            "crash": "crashes and recovers",
            "propose": "takes a command",
            "heartbeat": "sends heartbeats",
        }
        return f"node {step.node + 1} {what[kind]}"

    def next(self, state: State, step: Step) -> tuple[State, Broken | None] | None:
        """Perform a step; None where it leads out of bounds, or makes no sense."""
        kind, number = step.input
        in_flight = list(state.in_flight)
        if kind == "deliver":
            if number not in in_flight:
                return None
            in_flight.remove(number)
        outcome = self.node_states.outcome(state.nodes[step.node], step.input)
        state, broken = self._changed(state, step.node, outcome)
        sent = list(outcome.sent)
        if step.is_round_trip and broken is None:
            asking = self.node_states.ways[number][0]
            answers = [each for each in sent if self.node_states.ways[each][1] == asking]
            if not answers:
                return None
            sent = [each for each in sent if each not in answers]
            for answer in answers:
                outcome = self.node_states.outcome(state.nodes[asking], ("deliver", answer))
                state, broken = self._changed(state, asking, outcome)
                sent += outcome.sent
                if broken is not None:
                    break
        if any(self._is_out_of_bounds(node) for node in state.nodes):
            return None
        in_flight += [each for each in sent if each not in in_flight]
        kept = tuple(sorted(in_flight[-self.bounds.in_flight_max :]))
        past = state.past
        if kind == "crash":
            past = past._replace(crashes=past.crashes - 1)
        elif kind == "heartbeat":
            past = past._replace(heartbeats=past.heartbeats - 1)
        return State(state.nodes, kept, past), broken

    def key(self, state: State) -> tuple[object, ...]:
        """Return what is equal for states that differ only in who is who."""
        nodes = [self.node_states.node_names[number] for number in state.nodes]
        messages = [self.node_states.message_names[number] for number in state.in_flight]
        leaders, rest = state.past.leaders, state.past[1:]
        return min(
            [
                (
                    tuple([nodes[old][number] for old in olds]),
                    tuple(sorted([names[number] for names in messages])),
                    tuple([(term, news[node]) for term, node in leaders]),
                    rest,
                )
                for number, (olds, news) in enumerate(self.node_states.renamings)
            ]
        )

    def _is_out_of_bounds(self, number: int) -> bool:
        facts = self.node_states.facts[number]
        return len(facts.log) > self._last_index_max or facts.term > self._term_max

    def _changed(self, state: State, node: int, outcome: Outcome) -> tuple[State, Broken | None]:
        """Put a node's new state in, and judge the world then."""
        before, after = (self.node_states.facts[n] for n in (state.nodes[node], outcome.state))
        nodes = (*state.nodes[:node], outcome.state, *state.nodes[node + 1 :])
        past = state.past
        name = f"node {node + 1}"
        broken: Broken | None = None
        if after.term == before.term and before.voted_for not in (None, after.voted_for):
            broken = Broken(VoteOnce, f"{name} changed its vote of term {after.term}")
        if after.is_leader and (after.term, node) not in past.leaders:
            if any(term == after.term for term, _ in past.leaders):
                broken = Broken(ElectionSafety, f"{name} is a second leader of term {after.term}")
            required = [
                index for index, (_, term) in enumerate(past.committed) if term < after.term
            ]
            wanted = tuple(entry for entry, _ in past.committed[: max(required, default=-1) + 1])
            if after.log[: len(wanted)] != wanted:
                broken = Broken(
                    LeaderCompleteness,
                    f"{name} leads term {after.term} without all of the {len(wanted)} entries "
                    "that leaders of earlier terms have committed",
                )
            past = past._replace(leaders=tuple(sorted((*past.leaders, (after.term, node)))))
        if after.log != before.log:
            broken = broken or self._judge_matching(nodes, node)
        if after.commit_index > before.commit_index:
            committed = after.log[: after.commit_index]
            known = len(past.committed)
            if committed[:known] != tuple(entry for entry, _ in past.committed[: len(committed)]):
                broken = broken or Broken(CommitMonotonic, f"{name} committed another entry")
            elif after.is_leader:
                broken = broken or self._judge_commit(nodes, node)
            more = tuple((entry, after.term) for entry in committed[known:])
            past = past._replace(committed=past.committed + more)
        return State(nodes, state.in_flight, past), broken

    def _judge_matching(self, nodes: tuple[int, ...], node: int) -> Broken | None:
        log = self.node_states.facts[nodes[node]].log
        for other, number in enumerate(nodes):
            if other == node:
                continue
            theirs = self.node_states.facts[number].log
            for index in range(min(len(log), len(theirs)) - 1, -1, -1):
                if self.node_states.entry_term(log[index]) == self.node_states.entry_term(
                    theirs[index]
                ):
                    if log[: index + 1] == theirs[: index + 1]:
                        break
                    message = f"nodes {node + 1} and {other + 1} differ up to entry {index + 1}"
                    return Broken(LogMatching, message)
        return None

    def _judge_commit(self, nodes: tuple[int, ...], node: int) -> Broken | None:
        facts = [self.node_states.facts[number] for number in nodes]
        leader = facts[node]
        committed = leader.log[: leader.commit_index]
        holding = [other for other in facts if other.durable_log[: len(committed)] == committed]
        if 2 * len(holding) <= len(facts):
            message = f"node {node + 1} committed entry {len(committed)}, which no majority holds"
            return Broken(CommitOnQuorum, message)
        for other, later in enumerate(facts):
            missing = later.log[: len(committed)] != committed
            if later.is_leader and later.term > leader.term and missing:
                message = f"node {other + 1} leads a later term without entry {len(committed)}"
                return Broken(LeaderCompleteness, message)
        return None


def explore(bounds: Bounds, cpu_s_max: float | None = None) -> Exploration:
    """Explore a world until something breaks, all is explored, or a bound is reached."""
    world = World(bounds)
    started = time.process_time()
    initial = world.initial()
    states = [initial]
    parents: list[tuple[int, Step | None, int]] = [(0, None, 0)]
    seen = {world.key(initial)}
    transitions = 0
    current = 0

    def report(
        *, is_complete: bool, broken: Broken | None = None, last: Step | None = None
    ) -> Exploration:
        schedule: tuple[str, ...] = ()
        if last is not None:
            steps = shrink(world, (*_path(parents, current), last))
            schedule = tuple(world.describe(step) for step in steps)
        return Exploration(
            len(states),
            transitions,
            len(world.node_states.facts),
            parents[-1][2],
            is_complete,
            time.process_time() - started,
            broken,
            schedule,
        )

    while current < len(states):
        state = states[current]
        for step in world.steps(state):
            reached = world.next(state, step)
            if reached is None:
                continue
            transitions += 1
            after, broken = reached
            if broken is not None:
                return report(is_complete=False, broken=broken, last=step)
            key = world.key(after)
            if key not in seen:
                seen.add(key)
                states.append(after)
                parents.append((current, step, parents[current][2] + 1))
        if bounds.states_max is not None and len(states) >= bounds.states_max:
            return report(is_complete=False)
        if cpu_s_max is not None and time.process_time() - started > cpu_s_max:
            return report(is_complete=False)
        current += 1
    return report(is_complete=True)


def perform(world: World, schedule: tuple[Step, ...]) -> Broken | None:
    """Perform a schedule; say what it breaks, None too where a step is impossible."""
    state = world.initial()
    for step in schedule:
        reached = world.next(state, step)
        if reached is None:
            return None
        state, broken = reached
        if broken is not None:
            return broken
    return None


def shrink(world: World, schedule: tuple[Step, ...]) -> tuple[Step, ...]:
    """Leave out every step without which the schedule still breaks something."""
    position = 0
    while position < len(schedule):
        shorter = schedule[:position] + schedule[position + 1 :]
        if perform(world, shorter) is not None:
            schedule, position = shorter, 0
        else:
            position += 1
    return schedule


def _path(parents: list[tuple[int, Step | None, int]], state: int) -> list[Step]:
    steps: deque[Step] = deque()
    while True:
        state, step, _ = parents[state]
        if step is None:
            return list(steps)
        steps.appendleft(step)
