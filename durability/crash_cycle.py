"""One turn of the crash loop: run, kill, recover, audit."""

import os
import shutil
import signal
import tempfile
from collections.abc import Container, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Final, Literal, Self

import msgspec

from durability.audit.judgement import Judgement, audit_before, judge
from durability.audit.ledger import Ledger
from durability.audit.violation import Violation
from durability.crash.kill_points import WriteStream
from durability.errors import CannotKeepError, DurabilityError, InconclusiveError, VacuousError
from durability.recovery import process
from durability.recovery.recovery import recover
from durability.report.finding import Finding, keep
from durability.targets.contract import Target, Tear
from durability.timed_kill import MICROSECONDS, Timer
from durability.trace.kill_order import KillOrder
from durability.trace.supervisor import Run, Supervisor
from durability.trace.trace import Trace

_ATTEMPTS_MAX: Final = 10
_RETRIES_MAX: Final = 8
_ROOM_BYTES_MIN: Final = 1 << 16
_SETUP_TIMEOUT_S: Final = 60.0
FROM_COARSE_TO_FINE: Final[tuple[Tear, ...]] = ("none", "page", "byte")
"""The tears, in the order in which a finding gets less realistic."""

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
    kept in `findings`. The run without a kill is followed for `measuring_s`, a run with one for
    `deadline_s` at most. `at` orders every kill to one position instead of drawing it.
    """

    target_name: str
    seed: int
    mechanism: Mechanism
    tear: Tear
    directory: str
    findings: str
    measuring_s: float = 5.0
    deadline_s: float = 30.0
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


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A run without a kill.

    Its write stream, the items that it announced, the kinds of violation that it shows although
    nothing was killed, the `faults` for which no campaign on it can be called held, and `notes`.
    """

    stream: WriteStream
    announced: frozenset[str]
    violated: frozenset[str]
    faults: list[str]
    notes: list[str]


class CrashCycle:
    """Turns of the crash loop in one process; a context manager that removes what they left."""

    def __init__(self, target: Target, plan: Plan, control: int | None = None) -> None:
        """Prepare to test a target; `control` as for `Supervisor`."""
        self._target = target
        self._plan = plan
        exact = plan.mechanism == "seccomp"
        self._mechanism = Supervisor(control, target.volatile) if exact else Timer()
        self._parent = os.getppid()
        self._base = tempfile.mkdtemp(dir=plan.directory)
        self._shown: dict[str, _Shown] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._base, ignore_errors=True)
        if os.getppid() != self._parent:  # the harness was killed: the last worker tidies up
            with suppress(OSError):
                os.rmdir(self._plan.directory)

    def record(self) -> Run:
        """Run the target once, to its end or as far as its stream is explored."""
        directory = self._fresh_directory()
        try:
            run = self._explore(directory)
        finally:
            shutil.rmtree(directory)
        if run.fault:
            raise InconclusiveError(f"{self._target.name}: {run.fault}: {run.stderr.strip()}")
        return run

    def _explore(self, directory: str) -> Run:
        limit = KillOrder(self._target.stream_bytes) if self._target.stream_bytes else None
        return self._run(directory, limit, self._plan.measuring_s)

    def measure(self) -> Measured:
        """Run the target as `record` does, and judge it where it has ended by itself.

        Raises VacuousError where it changes nothing below its directory.
        """
        target, plan = self._target, self._plan
        directory = self._fresh_directory()
        try:
            run = self._explore(directory)
            stream = self._stream(run)
            if not stream.length and not stream.between:
                raise VacuousError(
                    f"{target.name} changed nothing in its data directory{_end(run)}"
                )
            ledger = Ledger(target.speech)
            for line in run.trace.lines():
                ledger.hear(line)
            violated: frozenset[str] = frozenset()
            faults = [text] if (text := _incomplete(run)) else []
            if run.exit_status is not None:
                try:
                    judgement = recover_and_judge(target, run.trace, directory)
                    violated = frozenset(violation.kind for violation in judgement.violations)
                except InconclusiveError as error:
                    faults.append(f"without any kill, {error}")
        finally:
            shutil.rmtree(directory)
        notes: list[str] = []
        if run.exit_status is None and not run.reached:
            notes.append(
                f"explored are the first {plan.measuring_s:g} s of the run, which had not ended"
                " by then: more with --measure SECONDS"
            )
        return Measured(
            stream=stream,
            announced=frozenset(ledger.announced),
            violated=violated,
            faults=faults,
            notes=notes,
        )

    def _stream(self, run: Run) -> WriteStream:
        if self._plan.mechanism == "timer":
            length = int(run.elapsed_s * MICROSECONDS) if run.trace.initial else 0
            return WriteStream(length, ())
        return WriteStream.of(run.trace)

    def turn(self, number: int, measured: Measured) -> Cycle:
        """Kill at the campaign's next position, recover, audit.

        What goes wrong with the harness or the machine is this turn's alone.
        """
        try:
            return self._turn(number, measured)
        except (DurabilityError, OSError) as error:
            return Cycle(number=number, why=str(error))

    def _turn(self, number: int, measured: Measured) -> Cycle:
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
        later: frozenset[str],
    ) -> Cycle:
        """Judge a run whose kill was sent."""
        number, redrawn = turn
        kill = run.trace.kill()
        if not run.landed() or kill is None:
            return Cycle(number=number, redrawn=redrawn, why=_why_not_landed(run))
        judgement = recover_and_judge(self._target, run.trace, directory, later)
        if judgement.violations:
            self._require_room()
        found, unkept = self._found(judgement.violations, order, run.trace, later)
        return Cycle(
            number=number,
            redrawn=redrawn,
            landed=True,
            offset=kill.offset,
            calls=kill.calls,
            torn=kill.torn,
            acknowledged=judgement.acknowledged,
            lost=judgement.lost,
            found=found,
            faults=judgement.faults,
            notes=judgement.notes + unkept,
        )

    def _found(
        self, violations: list[Violation], order: KillOrder, trace: Trace, later: frozenset[str]
    ) -> tuple[list[Found], list[str]]:
        """Settle how coarse a tear shows each kind, and keep the coarsest that was met.

        A kind that only a finer tear has shown is tried again at coarser ones with the next kills
        that show it. Returns also why findings could not be kept.
        """
        here = _tear_of(trace, order)
        found: list[Found] = []
        unkept: list[str] = []
        worth_trying = [violation for violation in violations if self._is_news(violation, here)]
        attempts: list[tuple[Tear, list[Violation], Trace]] = []
        if worth_trying:
            for tear in FROM_COARSE_TO_FINE[: FROM_COARSE_TO_FINE.index(here)]:
                at = msgspec.structs.replace(order, tear=tear)
                attempts.append((tear, *self._again(at, later)))
        attempts.append((here, violations, trace))
        for tear, shown, shown_trace in attempts:
            news = [violation for violation in shown if self._is_coarser(violation, tear)]
            folder = None
            if news:
                try:
                    at = msgspec.structs.replace(order, tear=tear)
                    folder = self._keep(news, at, shown_trace, later)
                except CannotKeepError as error:
                    unkept.append(str(error))
            for violation in news:
                self._shown[violation.kind].tear = tear
            found += [Found(violation, tear, folder) for violation in news]
        settled = {one.violation.kind for one in found}
        found += [Found(v, here) for v in violations if v.kind not in settled]
        return found, unkept

    def _is_news(self, violation: Violation, tear: Tear) -> bool:
        """Tell whether a kind may yet be shown by a coarser tear, and count the try."""
        shown = self._shown.setdefault(violation.kind, _Shown())
        shown.tries += 1
        return tear != "none" and shown.tear != "none" and shown.tries <= _RETRIES_MAX

    def _is_coarser(self, violation: Violation, tear: Tear) -> bool:
        """Tell whether no tear as coarse as this has shown the kind yet."""
        best = self._shown.setdefault(violation.kind, _Shown()).tear
        rank = FROM_COARSE_TO_FINE.index
        return best is None or rank(tear) < rank(best)

    def _again(self, order: KillOrder, later: frozenset[str]) -> tuple[list[Violation], Trace]:
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

    def _keep(
        self, violations: list[Violation], order: KillOrder, trace: Trace, later: Iterable[str]
    ) -> str:
        finding = Finding(
            target=self._plan.target_name,
            at=str(order),
            tear=order.tear,
            seed=self._plan.seed,
            violations=violations,
            later=sorted(later),
        )
        return keep(finding, trace, self._target.name, self._plan.findings)

    def _run(self, directory: str, order: KillOrder | None, deadline_s: float) -> Run:
        launch = self._target.workload(directory)
        return self._mechanism.run(launch, directory, order, deadline_s)

    def _require_room(self) -> None:
        """Raise InconclusiveError where the disk is full: then it is not the target that failed."""
        state = os.statvfs(self._base)
        if state.f_bavail * state.f_frsize < _ROOM_BYTES_MIN or (
            state.f_files and not state.f_favail
        ):
            raise InconclusiveError(f"no space is left on the device of {self._plan.directory}")

    def _fresh_directory(self) -> str:
        self._require_room()
        directory = tempfile.mkdtemp(dir=self._base)
        launch = self._target.setup(directory)
        if launch is not None:
            ended = process.run(launch, timeout_s=_SETUP_TIMEOUT_S)
            if ended.exit_status != 0:
                words = ended.stderr.decode("utf-8", "backslashreplace").strip()
                how = f"with status {ended.exit_status}" if ended.exit_status else "to end"
                raise InconclusiveError(f"{self._target.name}: its setup failed {how}. {words}")
        return directory


class _Shown:
    """The coarsest tear that has shown a kind of violation, and how often it was seen."""

    def __init__(self) -> None:
        self.tear: Tear | None = None
        self.tries = 0


def _tear_of(trace: Trace, order: KillOrder) -> Tear:
    """Return the tear that a kill really made: none, where it fell between two calls."""
    kill = trace.kill()
    return order.tear if kill is not None and kill.torn else "none"


def _incomplete(run: Run) -> str:
    """Say why a run's trace is not all that the target changed; nothing where it is."""
    around = run.trace.untraceable()
    if around:
        return f"the target changes files in ways that are not traced: {', '.join(around)}"
    if run.differences:
        return f"the disk is not what the trace says: {'; '.join(run.differences[:3])}"
    return ""


def _end(run: Run) -> str:
    """Say how a run ended, as the end of a sentence."""
    if run.exit_status is None and run.signal == signal.SIGKILL:
        return f" within {run.elapsed_s:.0f} s: give it longer with --measure SECONDS"
    how = f"status {run.exit_status}" if run.signal is None else f"signal {run.signal}"
    return f" and ended with {how}: {run.stderr.strip() or 'it printed no error'}"


def _why_not_landed(run: Run) -> str:
    if text := _incomplete(run):
        return text
    if run.signal != signal.SIGKILL:
        return f"the target ended with status {run.exit_status}, signal {run.signal}"
    return "the kill was not sent"
