"""What the kills of one campaign amount to: figures, violations, reasons for showing nothing."""

import shlex
import shutil
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from durability.audit.violation import Violation
from durability.crash_cycle import Cycle, Found, Plan
from durability.targets.contract import Target, Tear

_FROM_COARSE_TO_FINE: Final[tuple[Tear, ...]] = ("none", "page", "byte")
REASONS_MAX: Final = 3


def figures(
    target: Target, plan: Plan, cycles: Sequence[Cycle], elapsed_s: float
) -> dict[str, Any]:
    """Return the figures that every campaign of kills has, by the names they have in its JSON."""
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
        "distinct_states": len({cycle.digest for cycle in landed}),
        "acked": sum(cycle.acknowledged for cycle in landed),
        "lost": sum(cycle.lost for cycle in landed),
        "violating_kills": dict(violating),
        "cycles_per_second": round(len(cycles) / elapsed_s, 1) if elapsed_s else 0.0,
    }


def violations(target: Target, plan: Plan, cycles: Sequence[Cycle]) -> list[Violation]:
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
    result: list[Violation] = []
    for kind, found in sorted(chosen.items()):
        context = f"in {kills_counted(kills[kind])}; {_label(target, plan, found)}"
        result.append(
            msgspec.structs.replace(
                found.violation,
                message=f"{found.violation.message} ({context})",
                reproduce=f"durability replay {shlex.quote(str(found.folder))}",
            )
        )
    return result


def reasons(cycles: Sequence[Cycle]) -> list[str]:
    """Return why the kills may show nothing: they missed, nothing was promised, nothing fits."""
    landed = sum(cycle.landed for cycle in cycles)
    missed = Counter(cycle.why for cycle in cycles if not cycle.landed)
    found = [f"{kills_counted(count)} did not land: {why}" for why, count in missed.most_common()]
    if landed and not any(cycle.acknowledged for cycle in cycles):
        found.append(
            "nothing was acknowledged before any of the kills: does the program print its"
            " acknowledgements, and is its standard output flushed after each?"
        )
    return [*found, *sorted({fault for cycle in cycles for fault in cycle.faults})]


def kills_counted(count: int) -> str:
    """Return the number with its noun."""
    return f"{count} kill" if count == 1 else f"{count} kills"


def _coarseness(found: Found) -> int:
    return _FROM_COARSE_TO_FINE.index(found.tear)


def _label(target: Target, plan: Plan, found: Found) -> str:
    where = f" {found.where}" if found.where else ""
    if plan.mechanism == "timer":
        return "shown by a kill at a moment of chance"
    match found.tear:
        case "none":
            return f"shown by a kill between two calls{where}"
        case "page":
            return f"shown by a write cut at a page, as the kernel does{where}"
        case "byte" if target.tear == "byte":
            return f"shown by a write cut at a byte{where}"
        case "byte":
            return f"stress: shown only by a write cut at a byte, as POSIX permits{where}"
