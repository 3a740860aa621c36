"""A disk that fails under any program: run by run, the n-th call that may meet it does.

target -> trace, with one failure in it -> a restart, and a power cut -> recovery -> audit

Judged is what the program had acknowledged by the end, whatever it made of the failure: it may
stop, or go on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from typing import Final

import msgspec

from durability.audit.judgement import Judgement
from durability.audit.promises import Heard, Promises
from durability.audit.violation import Violation
from durability.campaign.bench import Bench
from durability.campaign.crash_cycle import CrashCycle, incomplete
from durability.campaign.cycle import Plan
from durability.campaign.workers import Work, Workers, run_alone
from durability.crash.content import Content
from durability.crash.lost_sync import states_without_sync
from durability.disk.keeping import case_of, kept
from durability.disk.outcome import Outcome, Progress
from durability.disk.scope import DiskScope, likely_first
from durability.errors import DurabilityError
from durability.report.crash_state import CrashStateCase, LossViolation
from durability.targets.contract import Target
from durability.trace.failure import Failure, FailureOrder
from durability.trace.records import Failed
from durability.trace.supervisor import LACKED_ROOM
from durability.trace.trace import Trace

_CUTS_AT_ONCE: Final = 8
"""So many states of a run are recovered together, where that can be."""


class _Met(msgspec.Struct):
    """What one run came to; `failed` says that its disk did, `fired` that the trace proves it.

    `violations` are of a kind each; `cases` are the states of those whose kind this process has not
    met before, by kind. `cut_off`: a sync was held, and the run ended at its deadline. `faults` are
    as in `Outcome`.
    """

    at: int
    failed: bool = False
    fired: bool = False
    cut_off: bool = False
    acknowledged: int = 0
    violations: list[LossViolation] = []
    cases: dict[str, CrashStateCase] = {}
    faults: list[str] = []


class _State(msgspec.Struct, frozen=True):
    """What is on disk when a program is started again, and what it had printed by then."""

    how: str
    content: Content
    lines: list[str]


def failing_calls(
    target: Target,
    plan: Plan,
    scope: DiskScope,
    failure: Failure,
    later: frozenset[str],
    outcome: Outcome,
    progress: Progress,
) -> None:
    """Run a target once for each call that may fail in this way; `later` as for `Ledger`.

    What comes of it is added to `outcome` as it comes. Raises MechanismError where the target
    cannot be traced.
    """

    @contextmanager
    def meeting(control: int) -> Iterator[Work]:
        with (
            CrashCycle(target, plan, control) as cycle,
            Bench(target, plan.directory) as bench,
        ):
            run = _FailingRun(target, plan, cycle, bench, later)
            yield lambda item: msgspec.msgpack.encode(
                run.meet(msgspec.msgpack.decode(item, type=FailureOrder))
            )

    rounds = _Rounds(target, plan, scope, failure, outcome)
    with Workers(scope.jobs, meeting) as workers:
        for result in workers.map(rounds, scope.until):
            met = msgspec.msgpack.decode(result, type=_Met)
            rounds.take(met)
            progress(met.fired, bool(met.violations))


class _Rounds:
    """Which calls are to fail, as encoded orders, and what came of it.

    A run in which none fails tells which calls there are. Runs differ; so where all are asked for,
    it goes on behind the last of them until a run meets no failure.
    """

    def __init__(
        self, target: Target, plan: Plan, scope: DiskScope, failure: Failure, outcome: Outcome
    ) -> None:
        self._target = target
        self._plan = plan
        self._scope = scope
        self._failure = failure
        self._met = _calls(target, plan, failure)
        self._over = False
        self._outcome = outcome
        outcome.possible = len(self._met)

    def __iter__(self) -> Iterator[bytes]:
        for at in self._places():
            if self._over:
                return
            yield msgspec.msgpack.encode(FailureOrder(self._failure, at))

    def _places(self) -> Iterator[int]:
        if self._scope.at is not None:
            yield self._scope.at
            return
        likely = list(likely_first(self._met))
        yield from likely[: self._scope.calls]
        if self._scope.calls is None:
            yield from count(len(likely) + 1)

    def take(self, met: _Met) -> None:
        """Count what one run came to, and keep what it shows of a kind for the first time."""
        again = self._scope.command(self._plan.target_name, self._failure, "--at", str(met.at))
        told = [msgspec.structs.replace(found, reproduce=again) for found in met.violations]
        told = kept(told, met.cases, self._outcome.found, self._target.name, self._plan)
        self._outcome.add(told, met.acknowledged, met.faults)
        self._outcome.fired += met.fired
        self._outcome.cut_off += met.cut_off
        self._over |= not met.failed and met.at > len(self._met)


def _calls(target: Target, plan: Plan, failure: Failure) -> list[tuple[str, bytes]]:
    """Return the calls, with their paths, that a failure could meet in a run."""

    def work(control: int) -> bytes:
        with CrashCycle(target, plan, control) as cycle:
            return msgspec.msgpack.encode(cycle.meet(FailureOrder(failure, 0)).met)

    return msgspec.msgpack.decode(run_alone(work), type=list[tuple[str, bytes]])


class _FailingRun:
    """Runs of one target in this process, each on a disk that fails once."""

    def __init__(
        self, target: Target, plan: Plan, cycle: CrashCycle, bench: Bench, later: frozenset[str]
    ) -> None:
        self._target = target
        self._plan = plan
        self._cycle = cycle
        self._bench = bench
        self._later = later
        self._shown: set[str] = set()

    def meet(self, order: FailureOrder) -> _Met:
        """Run once; judge what a restart finds, and what one finds after a power cut."""
        try:
            return self._meet(order)
        except (DurabilityError, OSError) as error:
            return _Met(order.at, faults=[str(error)])

    def _meet(self, order: FailureOrder) -> _Met:
        run = self._cycle.meet(order)
        failed = next((r for r in run.trace.records if isinstance(r, Failed)), None)
        if failed is None:
            return _Met(order.at)
        why = run.fault if run.fault == LACKED_ROOM else incomplete(run)
        if why:
            return _Met(order.at, failed=True, faults=[why])
        cut_off = order.failure == "sync-stalled" and run.timed_out
        met = _Met(order.at, failed=True, fired=True, cut_off=cut_off)
        restart = _State("a restart", Content.of(run.trace.tree()), run.trace.lines())
        self._judge(met, [restart], order, failed)
        cuts = _cuts(run.trace)
        while some := list(islice(cuts, _CUTS_AT_ONCE)):
            if self._judge(met, some, order, failed):
                break
        return met

    def _judge(self, met: _Met, states: list[_State], order: FailureOrder, failed: Failed) -> bool:
        """Recover states and add what comes of it; tell whether one is broken.

        What comes behind that one is left out: mostly it is broken by the same.
        """
        judgements = self._bench.judge_all(
            [(state.content, [self._promises(state)]) for state in states]
        )
        for state, judgement in zip(states, judgements, strict=True):
            met.acknowledged = max(met.acknowledged, judgement.acknowledged)
            met.faults += judgement.faults
            broken = [
                self._told(violation, order, failed, state)
                for violation in judgement.violations
                if violation.kind != "order" or not self._gave_up(state, judgement)
            ]
            for violation in broken:
                if violation.kind in {known.kind for known in met.violations}:
                    continue
                met.violations.append(violation)
                if violation.kind not in self._shown:
                    self._shown.add(violation.kind)
                    met.cases[violation.kind] = case_of(
                        self._plan, violation, state.content, state.lines, self._later
                    )
            if broken:
                return True
        return False

    def _promises(self, state: _State) -> Promises:
        return Promises.of(self._target, [Heard("run", state.lines)], self._later)

    def _gave_up(self, state: _State, judgement: Judgement) -> bool:
        """Tell whether only items are left out: one whose write failed may be given up.

        One that was acknowledged is lost then, which is a violation of its own.
        """
        announced = iter(self._promises(state).ledger.announced)
        return all(item in announced for item in judgement.recovered)

    def _told(
        self, violation: Violation, order: FailureOrder, failed: Failed, state: _State
    ) -> LossViolation:
        """Say of a violation which call failed, and what came then."""
        return LossViolation(
            kind=violation.kind,
            invariant=violation.invariant,
            message=f"{violation.message} ({failed}, call {order.at}; then {state.how})",
            subject=f"{self._target.name}: {order.failure}",
            model=order.failure,
        )


def _cuts(trace: Trace) -> Iterator[_State]:
    for end, content in states_without_sync(trace):
        until = Trace(trace.initial, trace.records[:end])
        yield _State(f"a power cut behind: {until.records[-1]}", content, until.lines())
