"""Many simulated clusters, one a seed: how they went, and the smallest way to what broke.

Seeds are independent of each other, so they are spread over processes; the result is the same for
any number of them.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b

import msgspec

from durability.audit.violation import Violation
from durability.simulation.action import Action
from durability.simulation.options import Faults, draw_options
from durability.simulation.run import Run, replay, run

_SHRINKING_REPLAYS_MAX = 400
_SEEDS_A_CHUNK = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """A run that broke: its first violation, after how many actions, and the fewest that do."""

    seed: int
    violation: Violation
    step: int
    shrunk: tuple[Action, ...]


class SimulatedViolation(Violation, frozen=True, kw_only=True):
    """A property that a simulated cluster broke, with the run that shows it.

    `step` counts the actions up to it, `shrunk_events` those that are left of them.
    """

    property: str
    seed: int
    step: int
    shrunk_events: int


@dataclass(slots=True)
class Campaign:
    """What all runs together came to. `elapsed_s` is wall time."""

    seeds: int = 0
    steps: int = 0
    events: Counter[str] = field(default_factory=Counter)
    invariant_checks: int = 0
    seeds_with_leader: int = 0
    max_term: int = 0
    states: set[int] = field(default_factory=set)
    sometimes: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    digest: str = ""
    elapsed_s: float = 0.0
    interrupted: bool = False

    def add(self, outcome: Run) -> None:
        """Count one run in; they come in the order of their seeds."""
        self.seeds += 1
        self.steps += len(outcome.actions)
        self.events += outcome.events
        self.invariant_checks += outcome.checks
        self.seeds_with_leader += outcome.had_leader
        self.max_term = max(self.max_term, outcome.max_term)
        self.states |= outcome.states
        self.sometimes += outcome.sometimes
        self.digest = blake2b((self.digest + outcome.digest).encode(), digest_size=16).hexdigest()

    def to_json(self) -> dict[str, object]:
        """Return what the command `simulate` writes, but for the keys that all commands share."""
        events = self.events.total()
        return {
            "seeds": self.seeds,
            "steps": self.steps,
            "events": events,
            "event_mix": dict(sorted(self.events.items())),
            "invariant_checks": self.invariant_checks,
            "seeds_with_leader": self.seeds_with_leader,
            "max_term": self.max_term,
            "distinct_states": len(self.states),
            "digest": self.digest,
            "events_per_second": round(events / self.elapsed_s) if self.elapsed_s else 0,
            "sometimes": dict(sorted(self.sometimes.items())),
        }

    def violations(self) -> list[SimulatedViolation]:
        """Return what broke, in the order of the seeds."""
        return [
            SimulatedViolation(
                **msgspec.structs.asdict(finding.violation),
                property=finding.violation.kind,
                seed=finding.seed,
                step=finding.step,
                shrunk_events=len(finding.shrunk),
            )
            for finding in self.findings
        ]


def simulate(
    seeds: range,
    *,
    nodes: int = 3,
    steps: int = 2000,
    faults: Faults = "swarm",
    settle: bool = True,
    jobs: int = 1,
    until: float | None = None,
) -> Campaign:
    """Run a cluster for each seed, and make what breaks small.

    `steps` are the actions of each run, before the faults end and it settles; without `settle` it
    ends there, and liveness is not judged. With one job all happens in this process. No further
    run is counted after `until` (on `time.perf_counter`), or after an interrupt.
    """
    started = time.perf_counter()
    campaign = Campaign()
    run_one = partial(_run, nodes=nodes, steps=steps, faults=faults, settle=settle)
    try:
        for outcome in _run_all(seeds, run_one, jobs):
            campaign.add(outcome)
            if outcome.violations:
                campaign.findings.append(_find(outcome, nodes, steps, faults))
            if until is not None and time.perf_counter() > until:
                break
    except KeyboardInterrupt:
        campaign.interrupted = True  # what was found until then has been found
    campaign.elapsed_s = time.perf_counter() - started
    return campaign


def shrink(broken: Run) -> tuple[Action, ...]:
    """Leave out as many actions as possible so that the same property still breaks.

    Ever smaller pieces are left out, from the end, where most is of no consequence (ddmin, Zeller
    and Hildebrandt 2002, without its complements). The number of replays is bounded.
    """
    kind = broken.violations[0].kind
    actions = broken.actions
    replays = 0
    size = len(actions) // 2
    while size:
        end = len(actions)
        while end > 0 and replays < _SHRINKING_REPLAYS_MAX:
            start = max(0, end - size)
            again = replay(broken.options, broken.seed, actions[:start] + actions[end:])
            replays += 1
            if again.violations and again.violations[0].kind == kind:
                actions = again.actions  # up to where it broke
                end = min(start, len(actions))
            else:
                end = start
        size //= 2
    return tuple(actions)


def _run(seed: int, *, nodes: int, steps: int, faults: Faults, settle: bool) -> Run:
    return run(draw_options(seed, faults, nodes), seed, steps, settle=settle)


def _run_all(seeds: Iterable[int], run_one: "partial[Run]", jobs: int) -> Iterator[Run]:
    if jobs == 1:
        yield from map(run_one, seeds)
        return
    pool = ProcessPoolExecutor(jobs)
    try:
        yield from pool.map(run_one, seeds, chunksize=_SEEDS_A_CHUNK)
    finally:
        pool.shutdown(cancel_futures=True)


def _find(outcome: Run, nodes: int, steps: int, faults: Faults) -> Finding:
    violation = outcome.violations[0]
    command = (
        f"durability simulate --seeds {outcome.seed}..{outcome.seed} "
        f"--nodes {nodes} --steps {steps} --faults {faults}"
    )
    # What only shows after the run has settled cannot be shown by fewer of its actions.
    shrunk = tuple(outcome.actions) if violation.kind == "P18" else shrink(outcome)
    kept = Violation(
        kind=violation.kind,
        invariant=violation.invariant,
        message=violation.message,
        reproduce=command,
    )
    return Finding(outcome.seed, kept, outcome.violation_step or len(outcome.actions), shrunk)
