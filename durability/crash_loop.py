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
from durability.campaign.workers import Start, Work, WorkerError, Workers, run_alone
from durability.crash_cycle import (
    FROM_COARSE_TO_FINE,
    CrashCycle,
    Cycle,
    Found,
    Measured,
    Mechanism,
    Plan,
)
from durability.errors import MechanismError
from durability.report.result import Result
from durability.targets.contract import Call, Target
from durability.trace.supervisor import Supervisor

_PROMISING_SHARE_MIN: Final = 0.05
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
    broken = ""
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
            broken = f"interrupted after {_kills(len(cycles))}"
        except WorkerError as error:
            broken = str(error)
    now = time.monotonic()
    cycles.sort(key=lambda cycle: cycle.number)
    return Result(
        command="crash",
        seed=plan.seed,
        elapsed_s=now - began,
        figures=_figures(target, plan, measured, cycles, now - begun_killing),
        violations=_violations(target, plan, measured, cycles),
        reasons=_reasons(limits, measured, cycles, broken),
        notes=measured.notes + sorted({note for cycle in cycles for note in cycle.notes}),
    )


def measure(target: Target, plan: Plan) -> Measured:
    """Run the target once without a kill, in a process of its own. Raises VacuousError."""

    def work(control: int) -> bytes:
        with CrashCycle(target, plan, control) as cycle:
            return msgspec.msgpack.encode(cycle.measure())

    return msgspec.msgpack.decode(run_alone(work), type=Measured)


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


def _violations(
    target: Target, plan: Plan, measured: Measured, cycles: list[Cycle]
) -> list[Violation]:
    """Return one violation of each kind, the one that the coarsest tear shows, with its count.

    Each worker kept the coarsest of each kind that it met; the other folders are removed.
    """
    found = [found for cycle in cycles for found in cycle.found]
    kills = Counter(
        kind for cycle in cycles for kind in {found.violation.kind for found in cycle.found}
    )
    chosen: dict[str, Found] = {}
    for one in sorted(found, key=_coarseness):
        chosen.setdefault(one.violation.kind, one)
    for folder in {one.folder for one in found} - {one.folder for one in chosen.values()}:
        if folder is not None:
            shutil.rmtree(folder)
    violations: list[Violation] = []
    for kind, one in sorted(chosen.items()):
        context = f"in {_kills(kills[kind])}; {_label(target, plan, one)}"
        if kind in measured.violated:
            context += "; also without any kill: is the description right?"
        reproduce = f"durability replay {shlex.quote(one.folder)}" if one.folder else ""
        violations.append(
            msgspec.structs.replace(
                one.violation,
                message=f"{one.violation.message} ({context})",
                tear=one.tear,
                reproduce=reproduce,
            )
        )
    return violations


def _coarseness(found: Found) -> tuple[int, bool]:
    return FROM_COARSE_TO_FINE.index(found.tear), found.folder is None


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


def _reasons(limits: Limits, measured: Measured, cycles: list[Cycle], broken: str) -> list[str]:
    """Return why the campaign may show nothing; `broken` says why it stopped, if it did."""
    landed = [cycle for cycle in cycles if cycle.landed]
    promising = sum(cycle.acknowledged > 0 for cycle in landed)
    missed = Counter(cycle.why for cycle in cycles if not cycle.landed)
    reasons = list(measured.faults)
    reasons += [f"{_kills(count)} did not land: {why}" for why, count in missed.most_common()]
    if broken:
        reasons.append(broken)
    elif limits.explicit and len(cycles) < limits.kills:
        reasons.append(f"time was up after {len(cycles)} of {limits.kills} kills")
    if not landed and not reasons:
        reasons.append("no kill was tried: the time was too short")
    if landed and promising < _PROMISING_SHARE_MIN * len(landed):
        reasons.append(
            f"anything was acknowledged before only {promising} of {_kills(len(landed))}: does the"
            " program print its acknowledgements, and flush its standard output after each?"
        )
    reasons += sorted({fault for cycle in cycles for fault in cycle.faults})
    return list(dict.fromkeys(reasons))[:_REASONS_MAX]
