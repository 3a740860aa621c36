"""One turn of the crash loop: run, kill, recover, audit; in a chain, on from what the kill left."""

import os
import shutil
import signal
import tempfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Literal, Self

import msgspec

from durability.audit.judgement import Judgement, audit_before, judge
from durability.audit.ledger import Ledger
from durability.audit.promises import Heard, Promises
from durability.audit.violation import Violation
from durability.crash.content import Content
from durability.crash.kill_points import WriteStream
from durability.errors import InconclusiveError
from durability.recovery import process
from durability.recovery.recovery import recover
from durability.report.finding import Finding, keep
from durability.targets.contract import Launch, Target, Tear
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
    kept in `findings`. `at` orders every kill to one position instead of drawing it. A turn has up
    to `links` kills, each of a run on what the one before left; with `in_recovery` each recovery is
    killed too. Both need exact kills.
    """

    target_name: str
    seed: int
    mechanism: Mechanism
    tear: Tear
    directory: str
    findings: str
    deadline_s: float
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


class Measured(msgspec.Struct, frozen=True):
    """A run without a kill: its write stream, and the items that it announced."""

    stream: WriteStream
    announced: frozenset[str]

    @classmethod
    def of(cls, target: Target, run: Run, mechanism: Mechanism) -> "Measured":
        """Measure a run; by the clock its stream is as long as it took, in microseconds."""
        if mechanism == "timer":
            stream = WriteStream(max(1, int(run.elapsed_s * MICROSECONDS)), ())
        else:
            stream = WriteStream.of(run.trace)
        return cls(stream, announced(target, run.trace))


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
        self._mechanism = Supervisor(control) if exact else Timer()
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
        with self._directory(_Start()) as directory:
            launch = self._target.workload(directory)
            return self._run(launch, directory, limit, min(_MEASURING_S, self._plan.deadline_s))

    def kill_at(self, order: KillOrder, later: Container[str]) -> Cycle:
        """Kill one run at a given position, recover, audit; `later` as for `recover_and_judge`."""
        return self._kill(order, _Start(), later)[1]

    def turn(self, number: int, measured: Measured) -> list[Cycle]:
        """Kill at the campaign's next position, recover, audit; so for each link of the chain.

        A chain ends early where a kill does not land or shows a violation, and where the program
        has nothing left to write.
        """
        cycles: list[Cycle] = []
        start: _Start | None = _Start()
        while start is not None and len(cycles) < self._plan.links:
            cycle, start = self._link(number, len(cycles), start, measured)
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
            if link:
                stream = WriteStream.of(run.trace)  # on such a start it has less to write
                if not stream:
                    return None, None
        else:
            why = "the run ended before the position was reached, however often it was drawn again"
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
            cycle = self._kill_recovery(cycle, left, measured)
        return cycle, None if cycle.found else left

    def _kill(
        self, order: KillOrder, start: _Start, later: Container[str]
    ) -> tuple[Run, Cycle, list[str]]:
        """Kill once; return the run, what came of it, and the items that recovery showed."""
        with self._killed(order, start) as (run, directory):
            kill = run.trace.kill()
            if not run.landed() or kill is None:
                return run, Cycle(number=0, why=_why_not_landed(run)), []
            judgement = recover_and_judge(self._target, start.then(run), directory, later)
        cycle = Cycle(
            number=0,
            landed=True,
            offset=kill.offset,
            calls=kill.calls,
            torn=kill.torn,
            digest=Content.of(run.trace.tree()).digest(),
            acknowledged=judgement.acknowledged,
            lost=judgement.lost,
            found=self._found(judgement.violations, order, start, run, later),
            faults=judgement.faults,
            notes=judgement.notes,
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
        )

    def _found(
        self,
        violations: list[Violation],
        order: KillOrder,
        start: _Start,
        run: Run,
        later: Container[str],
    ) -> list[Found]:
        """Settle how coarse a tear shows the violations, and keep the first of each kind."""
        open_kinds = {violation.kind for violation in violations} - self._kept
        found = [
            Found(v, order.tear, where=start.where) for v in violations if v.kind not in open_kinds
        ]
        for tear in (*self._coarser(order.tear), order.tear):
            if not open_kinds:
                break
            at = msgspec.structs.replace(order, tear=tear)
            shown, shown_run = violations, run
            if tear != order.tear:
                shown, shown_run = self._again(at, start, later)
            shown = [violation for violation in shown if violation.kind in open_kinds]
            if shown:
                folder = self._keep(shown, at, start, shown_run)
                found += [Found(violation, tear, folder, start.where) for violation in shown]
                open_kinds -= {violation.kind for violation in shown}
        self._kept.update(violation.kind for violation in violations)
        return found

    def _coarser(self, tear: Tear) -> tuple[Tear, ...]:
        return _COARSER[tear] if self._plan.mechanism == "seccomp" else ()

    def _again(
        self, order: KillOrder, start: _Start, later: Container[str]
    ) -> tuple[list[Violation], Run]:
        """Kill once more at an order; return what it shows: nothing where it did not land."""
        with self._killed(order, start) as (run, directory):
            if not run.landed():
                return [], run
            judgement = recover_and_judge(self._target, start.then(run), directory, later)
            return judgement.violations, run

    def _keep(self, violations: list[Violation], order: KillOrder, start: _Start, run: Run) -> str:
        finding = Finding(
            target=self._plan.target_name,
            at=str(order),
            tear=order.tear,
            seed=self._plan.seed,
            violations=violations,
            killed=start.killed,
            earlier=start.heard,
        )
        return keep(finding, run.trace, self._target.name, self._plan.findings)

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
                raise InconclusiveError(f"{self._target.name}: its setup failed: {words}")


def _why_not_landed(run: Run) -> str:
    around = run.trace.untraceable()
    if around:
        return f"the target changes files in ways that are not traced: {', '.join(around)}"
    if run.differences:
        return f"the disk is not what the trace says: {'; '.join(run.differences[:3])}"
    if run.signal != signal.SIGKILL:
        return f"the target ended with status {run.exit_status}, signal {run.signal}"
    return "the kill was not sent"
