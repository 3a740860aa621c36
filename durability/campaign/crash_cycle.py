"""One turn of the crash loop: run, kill, recover, audit; in a chain, on from what the kill left."""

import os
import shutil
import signal
from collections.abc import Container, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Final, Self

import msgspec

from durability.audit.judgement import Judgement, audit_before, judge
from durability.audit.ledger import Ledger
from durability.audit.promises import Heard, Promises
from durability.audit.violation import Violation
from durability.campaign.crash_findings import CrashFindings
from durability.campaign.cycle import Cycle, Measured, Plan, Start
from durability.campaign.places import Scratch, require_room
from durability.campaign.timed_kill import MICROSECONDS, Timer
from durability.crash.content import Content
from durability.crash.kill_points import WriteStream
from durability.errors import DurabilityError, InconclusiveError, MechanismError, VacuousError
from durability.recovery import process
from durability.recovery.recovery import recover
from durability.targets.contract import Call, Launch, Target
from durability.trace.failure import FailureOrder
from durability.trace.kill_order import KillOrder
from durability.trace.supervisor import Run, Supervisor
from durability.trace.trace import Trace

_ATTEMPTS_MAX: Final = 10
_SETUP_TIMEOUT_S: Final = 60.0


def recover_and_judge(
    target: Target, heard: list[Heard], directory: str, later: Container[str] = ()
) -> Judgement:
    """Recover a directory that a kill has left, and judge it by what was heard until then.

    `later` are the items that a run without a kill announces.
    """
    before = audit_before(target, directory)
    recovery = recover(target, directory)
    return judge(target, Promises.of(target, heard, later), directory, before, recovery)


def announced(target: Target, trace: Trace) -> frozenset[str]:
    """Return the items that a run announced."""
    ledger = Ledger(target.speech)
    for line in trace.lines():
        ledger.hear(line)
    return frozenset(ledger.announced)


class CrashCycle:
    """Turns of the crash loop in one process; a context manager that removes what they left."""

    def __init__(self, target: Target, plan: Plan, control: int | None = None) -> None:
        """Prepare to test a target; `control` as for `Supervisor`."""
        self._target = target
        self._plan = plan
        exact = plan.mechanism == "seccomp"
        self._mechanism = Supervisor(control, target.volatile) if exact else Timer()
        self._scratch = Scratch(plan.directory)
        self._findings = CrashFindings(target, plan)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._scratch.remove()

    def record(self) -> Run:
        """Run the target once, to its end or as far as its stream is explored.

        The trace tells source lines, as for `Supervisor.run`.
        """
        with self._explored(Start(), with_sources=True) as (run, _):
            return run

    def _explore(self, start: Start) -> Run:
        with self._explored(start) as (run, _):
            return run

    def meet(self, failure: FailureOrder) -> Run:
        """Run the target once on a disk that fails, to its end or as far as it is explored.

        Raises MechanismError where kills are not exact: calls are not answered then.
        """
        if not isinstance(self._mechanism, Supervisor):
            raise MechanismError("the calls of a run that is not traced cannot fail by order")
        with self._directory(Start()) as directory:
            launch = self._target.workload(directory)
            return self._mechanism.run(
                launch, directory, self._limit, self._plan.deadline_s, failure
            )

    @property
    def _limit(self) -> KillOrder | None:
        """Where a run that goes on for ever is ended."""
        return KillOrder(self._target.stream_bytes) if self._target.stream_bytes else None

    @contextmanager
    def _explored(self, start: Start, *, with_sources: bool = False) -> Iterator[tuple[Run, str]]:
        with self._directory(start) as directory:
            launch = self._target.workload(directory)
            measuring_s = self._plan.measuring_s
            run = self._run(launch, directory, self._limit, measuring_s, with_sources=with_sources)
            if run.fault:
                raise InconclusiveError(f"{self._target.name}: {run.fault}: {run.stderr.strip()}")
            yield run, directory

    def measure(self) -> Measured:
        """Run the target as `record` does, and judge it where it has ended by itself.

        Raises VacuousError where it changes nothing below its directory.
        """
        return self.measure_run()[1]

    def measure_run(self, *, with_sources: bool = False) -> tuple[Run, Measured]:
        """Return the run that `measure` measures, too; `with_sources` as for `Supervisor.run`."""
        target, plan = self._target, self._plan
        with self._explored(Start(), with_sources=with_sources) as (run, directory):
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
                    judgement = recover_and_judge(target, Start().then(run), directory)
                    violated = frozenset(violation.kind for violation in judgement.violations)
                except InconclusiveError as error:
                    faults.append(f"without any kill, {error}")
        notes: list[str] = []
        if run.timed_out:
            slowed = ", slowed by following its lines" if run.trace.sources else ""
            notes.append(
                f"explored are the first {plan.measuring_s:g} s of the run{slowed}, which had not"
                " ended by then: more with --measure SECONDS"
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

    def recovery(self, start: Start) -> Run:
        """Run a recovery to its end on what a crash left, as `start` says.

        The trace tells source lines, as for `Supervisor.run`.
        """
        with self._killed(None, start, with_sources=True) as (run, _):
            return run

    def kill_at(self, order: KillOrder, later: frozenset[str]) -> Cycle:
        """Kill one run at a given position, recover, audit; `later` as for `recover_and_judge`.

        What goes wrong with the harness or the machine is this kill's alone.
        """
        try:
            return self._kill(order, Start(), later)[1]
        except (DurabilityError, OSError) as error:
            return Cycle(number=0, why=str(error))

    def turn(self, number: int, measured: Measured) -> list[Cycle]:
        """Kill at the campaign's next position, recover, audit; so for each link of the chain.

        A chain ends early where a kill does not land or shows a violation, and where the program
        has nothing left to write. What goes wrong with the harness or the machine is this turn's
        alone.
        """
        cycles: list[Cycle] = []
        start: Start | None = Start()
        while start is not None and len(cycles) < self._plan.links:
            try:
                cycle, start = self._link(number, len(cycles), start, measured)
            except (DurabilityError, OSError) as error:
                cycle, start = Cycle(number=number, link=len(cycles), why=str(error)), None
            if cycle is not None:
                cycles.append(cycle)
        return cycles

    def _link(
        self, number: int, link: int, start: Start, measured: Measured
    ) -> tuple[Cycle | None, Start | None]:
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
        left = Start(
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
        self, order: KillOrder, start: Start, later: frozenset[str]
    ) -> tuple[Run, Cycle, list[str]]:
        """Kill once; return the run, what came of it, and the items that recovery showed."""
        with self._killed(order, start) as (run, directory):
            kill = run.trace.kill()
            if not run.landed() or kill is None:
                return run, Cycle(number=0, why=_why_not_landed(run)), []
            judgement = recover_and_judge(self._target, start.then(run), directory, later)
            if judgement.violations:
                require_room(self._plan.directory, judgement.violations)
        found, unkept = self._findings.settle(
            judgement.violations,
            order,
            start,
            run.trace,
            later,
            lambda at: self._again(at, start, later),
        )
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

    def _kill_recovery(self, cycle: Cycle, left: Start, measured: Measured) -> Cycle:
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

    def _again(
        self, order: KillOrder, start: Start, later: frozenset[str]
    ) -> tuple[list[Violation], Trace]:
        """Kill once more at an order; return what it shows: nothing where it did not land."""
        with self._killed(order, start) as (run, directory):
            if not run.landed():
                return [], run.trace
            judgement = recover_and_judge(self._target, start.then(run), directory, later)
            return judgement.violations, run.trace

    @contextmanager
    def _killed(
        self, order: KillOrder | None, start: Start, *, with_sources: bool = False
    ) -> Iterator[tuple[Run, str]]:
        """Run what is to be killed, and show what that left in its directory, which then goes."""
        with self._directory(start) as directory:
            launch = self._launch(start, directory)
            deadline_s = self._plan.deadline_s
            run = self._run(launch, directory, order, deadline_s, with_sources=with_sources)
            yield run, directory

    def _launch(self, start: Start, directory: str) -> Launch:
        target = self._target
        if start.killed == "run":
            return target.workload(directory)
        if target.speech.recovered is None and target.audit is not None:
            acknowledged = Promises.of(target, start.heard).ledger.acknowledged
            return Call(partial(target.audit, directory, acknowledged))
        return target.recovery(directory)

    def _run(
        self,
        launch: Launch,
        directory: str,
        order: KillOrder | None,
        deadline_s: float,
        *,
        with_sources: bool = False,
    ) -> Run:
        mechanism = self._mechanism
        if isinstance(mechanism, Supervisor):
            return mechanism.run(launch, directory, order, deadline_s, with_sources=with_sources)
        return mechanism.run(launch, directory, order, deadline_s)

    @contextmanager
    def _directory(self, start: Start) -> Iterator[str]:
        """Make the data directory, always at the same path: a program may write that down."""
        require_room(self._plan.directory)
        directory = os.path.join(self._scratch.path, "data")
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
