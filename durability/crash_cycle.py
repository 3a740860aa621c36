"""One turn of the crash loop: run, kill, recover, audit."""

import shutil
import signal
import tempfile
from collections.abc import Container
from types import TracebackType
from typing import Final, Literal, Self

import msgspec

from durability.audit.judgement import Judgement, audit_before, judge
from durability.audit.ledger import Ledger
from durability.audit.violation import Violation
from durability.crash.kill_points import WriteStream
from durability.errors import InconclusiveError
from durability.recovery import process
from durability.recovery.recovery import recover
from durability.report.finding import Finding, keep
from durability.targets.contract import Target, Tear
from durability.timed_kill import MICROSECONDS, Timer
from durability.trace.kill_order import KillOrder
from durability.trace.supervisor import Run, Supervisor
from durability.trace.trace import Trace

_ATTEMPTS_MAX: Final = 10
_MEASURING_S: Final = 5.0
_SETUP_TIMEOUT_S: Final = 60.0
_COARSER: Final[dict[Tear, tuple[Tear, ...]]] = {
    "byte": ("none", "page"),
    "page": ("none",),
    "none": (),
}
"""The tears to try a violation again at, coarsest first."""


Mechanism = Literal["seccomp", "timer"]
"""Exact positions of the write stream, or whatever moment the clock gives."""


class Found(msgspec.Struct, frozen=True):
    """A violation, the coarsest tear that shows it, and the folder it is kept in, if it is."""

    violation: Violation
    tear: Tear
    folder: str | None = None


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one turn.

    `number` is the kill's place in the campaign. `redrawn` counts drawn positions that the run did
    not reach. Where the kill did not land, `why` says so and nothing was judged.
    """

    number: int
    redrawn: int = 0
    landed: bool = False
    why: str = ""
    offset: int = 0
    calls: int = 0
    torn: bool = False
    acknowledged: int = 0
    lost: int = 0
    found: list[Found] = []
    faults: list[str] = []
    notes: list[str] = []


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the turns of one campaign have in common.

    `target_name` is what the user called the target by. With the mechanism `timer`, positions are
    microseconds of a run, see `timed_kill`. Data directories are made in `directory`, violations
    kept in `findings`. `at` orders every kill to one position instead of drawing it.
    """

    target_name: str
    seed: int
    mechanism: Mechanism
    tear: Tear
    directory: str
    findings: str
    deadline_s: float
    at: KillOrder | None = None


def recover_and_judge(
    target: Target, trace: Trace, directory: str, later: Container[str] = ()
) -> Judgement:
    """Recover a directory that a run has left, and judge it by what the run had printed.

    `later` are the items that a run without a kill announces.
    """
    before = audit_before(target, directory)
    recovery = recover(target, directory)
    return judge(target, trace.lines(), directory, before, recovery, later)


class Measured(msgspec.Struct, frozen=True):
    """A run without a kill: its write stream, and the items that it announced."""

    stream: WriteStream
    announced: frozenset[str]

    @classmethod
    def of(cls, target: Target, run: Run, mechanism: Mechanism) -> "Measured":
        """Measure a run; by the clock its stream is as long as it took, in microseconds."""
        ledger = Ledger(target.speech)
        for line in run.trace.lines():
            ledger.hear(line)
        if mechanism == "timer":
            stream = WriteStream(max(1, int(run.elapsed_s * MICROSECONDS)), ())
        else:
            stream = WriteStream.of(run.trace)
        return cls(stream, frozenset(ledger.announced))


class CrashCycle:
    """Turns of the crash loop in one process; a context manager that removes what they left."""

    def __init__(self, target: Target, plan: Plan, control: int | None = None) -> None:
        """Prepare to test a target; `control` as for `Supervisor`."""
        self._target = target
        self._plan = plan
        exact = plan.mechanism == "seccomp"
        self._mechanism = Supervisor(control, target.volatile) if exact else Timer()
        self._base = tempfile.mkdtemp(dir=plan.directory)
        self._kept: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._base, ignore_errors=True)

    def measure(self) -> Run:
        """Run the target once, to its end or as far as its stream is explored."""
        limit = KillOrder(self._target.stream_bytes) if self._target.stream_bytes else None
        directory = self._fresh_directory()
        try:
            run = self._run(directory, limit, min(_MEASURING_S, self._plan.deadline_s))
        finally:
            shutil.rmtree(directory)
        if run.fault:
            raise InconclusiveError(f"{self._target.name}: {run.fault}: {run.stderr.strip()}")
        return run

    def turn(self, number: int, measured: Measured) -> Cycle:
        """Kill at the campaign's next position, recover, audit."""
        plan = self._plan
        why = ""
        for attempt in range(_ATTEMPTS_MAX):
            order = plan.at or measured.stream.draw(plan.tear, plan.seed, number, attempt)
            directory = self._fresh_directory()
            try:
                run = self._run(directory, order, plan.deadline_s)
                if run.reached:
                    turn = number, attempt
                    return self._audited(turn, order, run, directory, measured.announced)
                why = run.fault
            finally:
                shutil.rmtree(directory)
        why = why or "the run ended before the position was reached, however often it was redrawn"
        return Cycle(number=number, redrawn=_ATTEMPTS_MAX, why=why)

    def _audited(
        self,
        turn: tuple[int, int],
        order: KillOrder,
        run: Run,
        directory: str,
        later: Container[str],
    ) -> Cycle:
        """Judge a run whose kill was sent."""
        number, redrawn = turn
        kill = run.trace.kill()
        if not run.landed() or kill is None:
            return Cycle(number=number, redrawn=redrawn, why=_why_not_landed(run))
        judgement = recover_and_judge(self._target, run.trace, directory, later)
        return Cycle(
            number=number,
            redrawn=redrawn,
            landed=True,
            offset=kill.offset,
            calls=kill.calls,
            torn=kill.torn,
            acknowledged=judgement.acknowledged,
            lost=judgement.lost,
            found=self._found(judgement.violations, order, run.trace, later),
            faults=judgement.faults,
            notes=judgement.notes,
        )

    def _found(
        self, violations: list[Violation], order: KillOrder, trace: Trace, later: Container[str]
    ) -> list[Found]:
        """Settle how coarse a tear shows the violations, and keep the first of each kind."""
        open_kinds = {violation.kind for violation in violations} - self._kept
        found = [Found(v, order.tear) for v in violations if v.kind not in open_kinds]
        for tear in (*self._coarser(order.tear), order.tear):
            if not open_kinds:
                break
            at = msgspec.structs.replace(order, tear=tear)
            shown, shown_trace = violations, trace
            if tear != order.tear:
                shown, shown_trace = self._again(at, later)
            shown = [violation for violation in shown if violation.kind in open_kinds]
            if shown:
                folder = self._keep(shown, at, shown_trace)
                found += [Found(violation, tear, folder) for violation in shown]
                open_kinds -= {violation.kind for violation in shown}
        self._kept.update(violation.kind for violation in violations)
        return found

    def _coarser(self, tear: Tear) -> tuple[Tear, ...]:
        return _COARSER[tear] if self._plan.mechanism == "seccomp" else ()

    def _again(self, order: KillOrder, later: Container[str]) -> tuple[list[Violation], Trace]:
        """Kill once more at an order; return what it shows: nothing where it did not land."""
        directory = self._fresh_directory()
        try:
            run = self._run(directory, order, self._plan.deadline_s)
            if not run.landed():
                return [], run.trace
            judgement = recover_and_judge(self._target, run.trace, directory, later)
            return judgement.violations, run.trace
        finally:
            shutil.rmtree(directory)

    def _keep(self, violations: list[Violation], order: KillOrder, trace: Trace) -> str:
        finding = Finding(
            target=self._plan.target_name,
            at=str(order),
            tear=order.tear,
            seed=self._plan.seed,
            violations=violations,
        )
        return keep(finding, trace, self._target.name, self._plan.findings)

    def _run(self, directory: str, order: KillOrder | None, deadline_s: float) -> Run:
        launch = self._target.workload(directory)
        return self._mechanism.run(launch, directory, order, deadline_s)

    def _fresh_directory(self) -> str:
        directory = tempfile.mkdtemp(dir=self._base)
        launch = self._target.setup(directory)
        if launch is not None:
            ended = process.run(launch, timeout_s=_SETUP_TIMEOUT_S)
            if ended.exit_status != 0:
                words = ended.stderr.decode("utf-8", "backslashreplace").strip()
                raise InconclusiveError(f"{self._target.name}: its setup failed: {words}")
        return directory


def _why_not_landed(run: Run) -> str:
    around = run.trace.untraceable()
    if around:
        return f"the target changes files in ways that are not traced: {', '.join(around)}"
    if run.differences:
        return f"the disk is not what the trace says: {'; '.join(run.differences[:3])}"
    if run.signal != signal.SIGKILL:
        return f"the target ended with status {run.exit_status}, signal {run.signal}"
    return "the kill was not sent"
