"""One turn of the crash loop: run, kill, recover, audit; in a chain, on from what the kill left."""

import os
import shutil
import signal
import tempfile
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, Literal, Self

import msgspec

from durability.audit.judgement import Judgement, audit_before, judge
from durability.audit.ledger import Ledger
from durability.audit.promises import Heard, Promises
from durability.audit.violation import Violation
from durability.campaign.places import require_room
from durability.crash.content import Content
from durability.crash.kill_points import WriteStream
from durability.errors import CannotKeepError, DurabilityError, InconclusiveError, VacuousError
from durability.recovery import process
from durability.recovery.recovery import recover
from durability.report.finding import Finding, keep
from durability.targets.contract import Launch, Target, Tear
from durability.timed_kill import MICROSECONDS, Timer
from durability.trace.kill_order import KillOrder
from durability.trace.supervisor import Run, Supervisor
from durability.trace.trace import Trace

_ATTEMPTS_MAX: Final = 10
_RETRIES_MAX: Final = 8
_SETUP_TIMEOUT_S: Final = 60.0
FROM_COARSE_TO_FINE: Final[tuple[Tear, ...]] = ("none", "page", "byte")
"""The tears, in the order in which a finding gets less realistic."""

Mechanism = Literal["seccomp", "timer"]
"""Exact positions of the write stream, or whatever moment the clock gives."""


class Found(msgspec.Struct, frozen=True):
    """A violation, the coarsest tear that shows it, and the folder it is kept in, if it is.

    `where` says more of the kill where that was not one of a first run.
    """

    violation: Violation
    tear: Tear
    folder: str | None = None
    where: str = ""


class Cycle(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The result of one kill.

    `number` is its turn's place in the campaign, `link` its place in the turn. `redrawn` counts
    drawn positions that the run did not reach. Where the kill did not land, `why` says so and
    nothing was judged. `digest` is that of what it left on disk. `recovery_killed` says that the
    recovery was killed as well, and what that left recovered and judged.
    """

    number: int
    link: int = 0
    redrawn: int = 0
    landed: bool = False
    why: str = ""
    offset: int = 0
    calls: int = 0
    torn: bool = False
    digest: bytes = b""
    acknowledged: int = 0
    lost: int = 0
    recovery_killed: bool = False
    found: list[Found] = []
    faults: list[str] = []
    notes: list[str] = []


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the turns of one campaign have in common.

    `target_name` is what the user called the target by. With the mechanism `timer`, positions are
    microseconds of a run, see `timed_kill`. Data directories are made in `directory`, violations
    kept in `findings`. The run without a kill is followed for `measuring_s`, a run with one for
    `deadline_s` at most. `at` orders every kill to one position instead of drawing it. A turn has
    up to `links` kills, each of a run on what the one before left; with `in_recovery` each recovery
    is killed too. Both need exact kills.
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
    links: int = 1
    in_recovery: bool = False


def recover_and_judge(
    target: Target, heard: list[Heard], directory: str, later: Container[str] = ()
) -> Judgement:
    """Recover a directory that a kill has left, and judge it by what was heard until then.

    `later` are the items that a run without a kill announces.
    """
    before = audit_before(target, directory)
    recovery = recover(target, directory)
    return judge(target, Promises.of(target, heard, later), directory, before, recovery)


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


def announced(target: Target, trace: Trace) -> frozenset[str]:
    """Return the items that a run announced."""
    ledger = Ledger(target.speech)
    for line in trace.lines():
        ledger.hear(line)
    return frozenset(ledger.announced)


class _Start(msgspec.Struct, frozen=True):
    """What a process is started on: a fresh directory, or what earlier kills left.

    `killed` says whether a run is to be killed there or a recovery.
    """

    heard: list[Heard] = []
    content: Content | None = None
    killed: Literal["run", "recovery"] = "run"
    where: str = ""

    def then(self, run: Run) -> list[Heard]:
        """Return what has been heard once this run is over."""
        return [*self.heard, Heard(self.killed, list(run.trace.lines()))]


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
        return self._explore(_Start())

    def _explore(self, start: _Start) -> Run:
        with self._explored(start) as (run, _):
            return run

    @contextmanager
    def _explored(self, start: _Start) -> Iterator[tuple[Run, str]]:
        limit = KillOrder(self._target.stream_bytes) if self._target.stream_bytes else None
        with self._directory(start) as directory:
            launch = self._target.workload(directory)
            run = self._run(launch, directory, limit, self._plan.measuring_s)
            if run.fault:
                raise InconclusiveError(f"{self._target.name}: {run.fault}: {run.stderr.strip()}")
            yield run, directory

    def measure(self) -> Measured:
        """Run the target as `record` does, and judge it where it has ended by itself.

        Raises VacuousError where it changes nothing below its directory.
        """
        return self.measure_run()[1]

    def measure_run(self) -> tuple[Run, Measured]:
        """Return the run that `measure` measures, too."""
        target, plan = self._target, self._plan
        with self._explored(_Start()) as (run, directory):
            stream = self._stream(run)
            if not stream:
                raise VacuousError(
                    f"{target.name} changed nothing in its data directory{_end(run)}"
                )
            violated: frozenset[str] = frozenset()
            faults = [text] if (text := incomplete(run)) else []
            if run.exit_status or run.signal not in {None, signal.SIGKILL}:
                faults.append(f"without any kill, {target.name} fails: {_words(run)}")
            if run.exit_status is not None:
                try:
                    judgement = recover_and_judge(target, _Start().then(run), directory)
                    violated = frozenset(violation.kind for violation in judgement.violations)
                except InconclusiveError as error:
                    faults.append(f"without any kill, {error}")
        notes: list[str] = []
        if run.timed_out:
            notes.append(
                f"explored are the first {plan.measuring_s:g} s of the run, which had not ended"
                " by then: more with --measure SECONDS"
            )
        measured = Measured(
            stream=stream,
            announced=announced(target, run.trace),
            violated=violated,
            faults=faults,
            notes=notes,
        )
        return run, measured

    def _stream(self, run: Run) -> WriteStream:
        if self._plan.mechanism == "timer":
            length = int(run.elapsed_s * MICROSECONDS) if run.trace.initial else 0
            return WriteStream(length, ())
        return WriteStream.of(run.trace)

    def kill_at(self, order: KillOrder, later: frozenset[str]) -> Cycle:
        """Kill one run at a given position, recover, audit; `later` as for `recover_and_judge`.

        What goes wrong with the harness or the machine is this kill's alone.
        """
        try:
            return self._kill(order, _Start(), later)[1]
        except (DurabilityError, OSError) as error:
            return Cycle(number=0, why=str(error))

    def turn(self, number: int, measured: Measured) -> list[Cycle]:
        """Kill at the campaign's next position, recover, audit; so for each link of the chain.

        A chain ends early where a kill does not land or shows a violation, and where the program
        has nothing left to write. What goes wrong with the harness or the machine is this turn's
        alone.
        """
        cycles: list[Cycle] = []
        start: _Start | None = _Start()
        while start is not None and len(cycles) < self._plan.links:
            try:
                cycle, start = self._link(number, len(cycles), start, measured)
            except (DurabilityError, OSError) as error:
                cycle, start = Cycle(number=number, link=len(cycles), why=str(error)), None
            if cycle is not None:
                cycles.append(cycle)
        return cycles

    def _link(
        self, number: int, link: int, start: _Start, measured: Measured
    ) -> tuple[Cycle | None, _Start | None]:
        """Kill one run; return what came of it, and what the next link starts on."""
        plan, stream = self._plan, measured.stream
        label = f"/link {link}" if link else ""
        for attempt in range(_ATTEMPTS_MAX):
            order = plan.at or stream.draw(plan.tear, plan.seed, number, attempt, label)
            run, cycle, recovered = self._kill(order, start, measured.announced)
            if run.reached:
                break
            if link:  # on such a start it has less to write
                cut_short = run.signal == signal.SIGKILL  # as it missed its position, or was slow
                stream = self._stream(self._explore(start) if cut_short else run)
                if not stream:
                    return None, None
        else:
            why = run.fault or (
                "the run ended before the position was reached, however often it was drawn again"
            )
            return Cycle(number=number, link=link, redrawn=_ATTEMPTS_MAX, why=why), None
        cycle = msgspec.structs.replace(cycle, number=number, link=link, redrawn=attempt)
        if not cycle.landed or cycle.found or cycle.faults:
            return cycle, None
        left = _Start(
            heard=[*start.then(run), Heard("items", recovered)],
            content=Content.of(run.trace.tree()),
            where=f"in link {link + 2} of a chain",
        )
        if plan.in_recovery:
            try:
                cycle = self._kill_recovery(cycle, left, measured)
            except (DurabilityError, OSError) as error:
                fault = f"a kill inside recovery failed: {error}"
                return msgspec.structs.replace(cycle, faults=[*cycle.faults, fault]), None
        return cycle, None if cycle.found else left

    def _kill(
        self, order: KillOrder, start: _Start, later: frozenset[str]
    ) -> tuple[Run, Cycle, list[str]]:
        """Kill once; return the run, what came of it, and the items that recovery showed."""
        with self._killed(order, start) as (run, directory):
            kill = run.trace.kill()
            if not run.landed() or kill is None:
                return run, Cycle(number=0, why=_why_not_landed(run)), []
            judgement = recover_and_judge(self._target, start.then(run), directory, later)
            if judgement.violations:
                require_room(self._plan.directory, judgement.violations)
        found, unkept = self._found(judgement.violations, order, start, run.trace, later)
        cycle = Cycle(
            number=0,
            landed=True,
            offset=kill.offset,
            calls=kill.calls,
            torn=kill.torn,
            digest=Content.of(run.trace.tree()).digest(),
            acknowledged=judgement.acknowledged,
            lost=judgement.lost,
            found=found,
            faults=judgement.faults,
            notes=judgement.notes + unkept,
        )
        return run, cycle, judgement.recovered

    def _kill_recovery(self, cycle: Cycle, left: _Start, measured: Measured) -> Cycle:
        """Kill a recovery of what a kill left, recover once more, and add what that shows."""
        plan = self._plan
        start = msgspec.structs.replace(left, killed="recovery", where="inside recovery")
        with self._killed(None, start) as (undisturbed, _):
            stream = WriteStream.of(undisturbed.trace)
        if not stream:
            return cycle
        label = f"/recovery {cycle.link}"
        order = stream.draw(plan.tear, plan.seed, cycle.number, cycle.redrawn, label)
        _, second, _ = self._kill(order, start, measured.announced)
        return msgspec.structs.replace(
            cycle,
            recovery_killed=second.landed,
            lost=cycle.lost + second.lost,
            found=cycle.found + second.found,
            faults=cycle.faults + second.faults,
            notes=cycle.notes + [note for note in second.notes if note not in cycle.notes],
        )

    def _found(
        self,
        violations: list[Violation],
        order: KillOrder,
        start: _Start,
        trace: Trace,
        later: frozenset[str],
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
                attempts.append((tear, *self._again(at, start, later)))
        attempts.append((here, violations, trace))
        for tear, shown, shown_trace in attempts:
            news = [violation for violation in shown if self._is_coarser(violation, tear)]
            folder = None
            if news:
                try:
                    at = msgspec.structs.replace(order, tear=tear)
                    folder = self._keep(news, at, start, shown_trace, later)
                except CannotKeepError as error:
                    unkept.append(str(error))
            for violation in news:
                self._shown[violation.kind].tear = tear
            found += [Found(violation, tear, folder, start.where) for violation in news]
        settled = {one.violation.kind for one in found}
        found += [Found(v, here, where=start.where) for v in violations if v.kind not in settled]
        return found, unkept

    def _is_news(self, violation: Violation, tear: Tear) -> bool:
        """Tell whether a kind may yet be shown by a coarser tear, and count the try."""
        shown = self._shown.setdefault(violation.kind, _Shown())
        shown.tries += 1
        return tear != "none" and shown.tear != "none" and shown.tries <= _RETRIES_MAX

    def _is_coarser(self, violation: Violation, tear: Tear) -> bool:
        """Tell whether no tear as coarse as this has shown the kind yet."""
        best = self._shown.setdefault(violation.kind, _Shown()).tear
        return best is None or is_coarser(tear, best)

    def _again(
        self, order: KillOrder, start: _Start, later: frozenset[str]
    ) -> tuple[list[Violation], Trace]:
        """Kill once more at an order; return what it shows: nothing where it did not land."""
        with self._killed(order, start) as (run, directory):
            if not run.landed():
                return [], run.trace
            judgement = recover_and_judge(self._target, start.then(run), directory, later)
            return judgement.violations, run.trace

    def _keep(
        self,
        violations: list[Violation],
        order: KillOrder,
        start: _Start,
        trace: Trace,
        later: Iterable[str],
    ) -> str:
        finding = Finding(
            target=self._plan.target_name,
            at=str(order),
            tear=order.tear,
            seed=self._plan.seed,
            violations=violations,
            later=sorted(later),
            killed=start.killed,
            earlier=start.heard,
        )
        return keep(finding, trace, self._target.name, self._plan.findings)

    @contextmanager
    def _killed(self, order: KillOrder | None, start: _Start) -> Iterator[tuple[Run, str]]:
        """Run what is to be killed, and show what that left in its directory, which then goes."""
        with self._directory(start) as directory:
            launch = self._target.workload if start.killed == "run" else self._target.recovery
            yield self._run(launch(directory), directory, order, self._plan.deadline_s), directory

    def _run(
        self, launch: Launch, directory: str, order: KillOrder | None, deadline_s: float
    ) -> Run:
        return self._mechanism.run(launch, directory, order, deadline_s)

    @contextmanager
    def _directory(self, start: _Start) -> Iterator[str]:
        """Make the data directory, always at the same path: a program may write that down."""
        require_room(self._plan.directory)
        directory = os.path.join(self._base, "data")
        os.mkdir(directory, 0o700)
        try:
            if start.content is None:
                self._set_up(directory)
            else:
                start.content.write_to(os.fsencode(directory))
            yield directory
        finally:
            shutil.rmtree(directory)

    def _set_up(self, directory: str) -> None:
        launch = self._target.setup(directory)
        if launch is not None:
            ended = process.run(launch, timeout_s=_SETUP_TIMEOUT_S)
            if ended.exit_status != 0:
                words = ended.stderr.decode("utf-8", "backslashreplace").strip()
                how = f"with status {ended.exit_status}" if ended.exit_status else "to end"
                raise InconclusiveError(f"{self._target.name}: its setup failed {how}. {words}")


class _Shown:
    """The coarsest tear that has shown a kind of violation, and how often it was seen."""

    def __init__(self) -> None:
        self.tear: Tear | None = None
        self.tries = 0


def _tear_of(trace: Trace, order: KillOrder) -> Tear:
    """Return the tear that a kill really made: none, where it fell between two calls."""
    kill = trace.kill()
    return order.tear if kill is not None and kill.torn else "none"


def is_coarser(tear: Tear, than: Tear) -> bool:
    """Tell whether a tear is more realistic than another."""
    return FROM_COARSE_TO_FINE.index(tear) < FROM_COARSE_TO_FINE.index(than)


def incomplete(run: Run) -> str:
    """Say why a run's trace is not all that the target changed; nothing where it is."""
    around = run.trace.untraceable()
    if around:
        return f"the target changes files in ways that are not traced: {', '.join(around)}"
    if run.differences:
        return f"the disk is not what the trace says: {'; '.join(run.differences[:3])}"
    return ""


def _end(run: Run) -> str:
    """Say how a run ended, as the end of a sentence."""
    if run.timed_out:
        return f" within {run.elapsed_s:.0f} s: give it longer with --measure SECONDS"
    return f" and ended with {_words(run)}"


def _words(run: Run) -> str:
    how = f"status {run.exit_status}" if run.signal is None else f"signal {run.signal}"
    return f"{how}: {run.stderr.strip() or 'it printed no error'}"


def _why_not_landed(run: Run) -> str:
    if text := run.fault or incomplete(run):
        return text
    if run.signal != signal.SIGKILL:
        return f"the target ended with status {run.exit_status}, signal {run.signal}"
    return "the kill was not sent"
