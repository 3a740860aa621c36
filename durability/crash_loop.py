"""The crash loop: measure a target's write stream, kill it all over the stream, audit each time.

target -> trace -> crash -> recovery -> audit -> report
"""

import shlex
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from durability.audit.violation import Violation
from durability.campaign.workers import Start, Work, Workers, run_alone
from durability.crash_cycle import CrashCycle, Cycle, Found, Measured, Mechanism, Plan
from durability.errors import MechanismError, VacuousError
from durability.report.result import Result
from durability.targets.contract import Call, Target, Tear
from durability.trace.supervisor import Supervisor

_FROM_COARSE_TO_FINE: Final[tuple[Tear, ...]] = ("none", "page", "byte")
_REASONS_MAX: Final = 3

Progress = Callable[[Cycle], None]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much to do: `kills` in `jobs` processes, in `budget_s` where that is not None.

    `explicit` says that the user asked for this number, so that fewer kills show nothing.
    """

    kills: int
    explicit: bool
    jobs: int
    budget_s: float | None = None


def crash_loop(target: Target, plan: Plan, limits: Limits, progress: Progress) -> Result:
    """Run the campaign and return what it found.

    Raises MechanismError where the target cannot be started or traced, VacuousError where a run
    changes nothing.
    """
    began = time.monotonic()
    until = None if limits.budget_s is None else began + limits.budget_s
    cycles: list[Cycle] = []
    interrupted = False
    # Whatever becomes of the workers, what they made lies in here.
    with TemporaryDirectory(prefix="durability-", dir=plan.directory) as base:
        plan = msgspec.structs.replace(plan, directory=base)
        measured = measure(target, plan)
        begun_killing = time.monotonic()
        try:
            with Workers(limits.jobs, _turning(target, plan, measured)) as workers:
                items = (msgspec.msgpack.encode(number) for number in range(limits.kills))
                for outcome in workers.map(items, until):
                    cycle = msgspec.msgpack.decode(outcome, type=Cycle)
                    cycles.append(cycle)
                    progress(cycle)
        except KeyboardInterrupt:
            interrupted = True
    now = time.monotonic()
    cycles.sort(key=lambda cycle: cycle.number)
    return Result(
        command="crash",
        seed=plan.seed,
        elapsed_s=now - began,
        figures=_figures(target, plan, measured, cycles, now - begun_killing),
        violations=_violations(target, plan, cycles),
        reasons=_reasons(limits, cycles, interrupted=interrupted),
        notes=sorted({note for cycle in cycles for note in cycle.notes}),
    )


def measure(target: Target, plan: Plan) -> Measured:
    """Run the target once, in a process of its own, without killing it before its time.

    Raises VacuousError where it changes nothing below its directory.
    """

    def work(control: int) -> bytes:
        with CrashCycle(target, plan, control) as cycle:
            return msgspec.msgpack.encode(_measured(target, cycle, plan))

    return msgspec.msgpack.decode(run_alone(work), type=Measured)


def _measured(target: Target, cycle: CrashCycle, plan: Plan) -> Measured:
    run = cycle.measure()
    measured = Measured.of(target, run, plan.mechanism)
    changed = run.trace.initial if plan.mechanism == "timer" else measured.stream.length
    if not changed and not measured.stream.between:
        words = run.stderr.strip() or f"it ended with status {run.exit_status}"
        raise VacuousError(f"{target.name} changed nothing in its data directory: {words}")
    return measured


def exact_or_timer() -> tuple[Mechanism, str]:
    """Return the best mechanism that works here, and why it is not the exact one, if it is not."""

    def work(control: int) -> bytes:
        with TemporaryDirectory(prefix="durability-") as directory:
            Supervisor(control).run(Call(lambda: None), directory)
        return b""

    try:
        run_alone(work)
    except MechanismError as error:
        return "timer", f"{error}; kills are timed, not exact"
    return "seccomp", ""


def _turning(target: Target, plan: Plan, measured: Measured) -> Start:
    """Return what a worker does: a turn of the loop for each number it is handed."""

    @contextmanager
    def turning(control: int) -> Iterator[Work]:
        with CrashCycle(target, plan, control) as cycle:
            yield lambda item: msgspec.msgpack.encode(
                cycle.turn(msgspec.msgpack.decode(item, type=int), measured)
            )

    return turning


def _figures(
    target: Target, plan: Plan, measured: Measured, cycles: list[Cycle], elapsed_s: float
) -> dict[str, Any]:
    landed = [cycle for cycle in cycles if cycle.landed]
    violating = Counter(
        kind for cycle in landed for kind in {found.violation.kind for found in cycle.found}
    )
    return {
        "target": target.name,
        "mechanism": plan.mechanism,
        "tear": plan.tear,
        "kills": len(cycles),
        "landed": len(landed),
        "redrawn": sum(cycle.redrawn for cycle in cycles),
        "torn": sum(cycle.torn for cycle in landed),
        "distinct_offsets": len({(cycle.offset, cycle.calls) for cycle in landed}),
        "acked": sum(cycle.acknowledged for cycle in landed),
        "lost": sum(cycle.lost for cycle in landed),
        "violating_kills": dict(violating),
        "cycles_per_second": round(len(cycles) / elapsed_s, 1) if elapsed_s else 0.0,
        "stream_bytes": measured.stream.length,
    }


def _violations(target: Target, plan: Plan, cycles: list[Cycle]) -> list[Violation]:
    """Return one violation of each kind, the one that the coarsest tear shows, with its count.

    Each worker kept the first of each kind that it met; the folders of the others are removed.
    """
    kept = [found for cycle in cycles for found in cycle.found if found.folder is not None]
    kills = Counter(
        kind for cycle in cycles for kind in {found.violation.kind for found in cycle.found}
    )
    chosen: dict[str, Found] = {}
    for found in sorted(kept, key=_coarseness):
        chosen.setdefault(found.violation.kind, found)
    for folder in {found.folder for found in kept} - {found.folder for found in chosen.values()}:
        shutil.rmtree(str(folder))
    violations: list[Violation] = []
    for kind, found in sorted(chosen.items()):
        context = f"in {_kills(kills[kind])}; {_label(target, plan, found)}"
        violations.append(
            msgspec.structs.replace(
                found.violation,
                message=f"{found.violation.message} ({context})",
                reproduce=f"durability replay {shlex.quote(str(found.folder))}",
            )
        )
    return violations


def _coarseness(found: Found) -> int:
    return _FROM_COARSE_TO_FINE.index(found.tear)


def _kills(count: int) -> str:
    return f"{count} kill" if count == 1 else f"{count} kills"


def _label(target: Target, plan: Plan, found: Found) -> str:
    if plan.mechanism == "timer":
        return "shown by a kill at a moment of chance"
    match found.tear:
        case "none":
            return "shown by a kill between two calls"
        case "page":
            return "shown by a write cut at a page, as the kernel does"
        case "byte" if target.tear == "byte":
            return "shown by a write cut at a byte"
        case "byte":
            return "stress: shown only by a write cut at a byte, as POSIX permits"


def _reasons(limits: Limits, cycles: list[Cycle], *, interrupted: bool) -> list[str]:
    """Return why the campaign may show nothing."""
    landed = sum(cycle.landed for cycle in cycles)
    missed = Counter(cycle.why for cycle in cycles if not cycle.landed)
    reasons = [f"{_kills(count)} did not land: {why}" for why, count in missed.most_common()]
    if interrupted:
        reasons.append(f"interrupted after {_kills(len(cycles))}")
    if limits.explicit and not interrupted and len(cycles) < limits.kills:
        reasons.append(f"time was up after {len(cycles)} of {limits.kills} kills")
    if not landed and not reasons:
        reasons.append("no kill was tried: the time was too short")
    if landed and not any(cycle.acknowledged for cycle in cycles):
        reasons.append(
            "nothing was acknowledged before any of the kills: does the program print its"
            " acknowledgements, and is its standard output flushed after each?"
        )
    reasons += sorted({fault for cycle in cycles for fault in cycle.faults})
    return reasons[:_REASONS_MAX]
