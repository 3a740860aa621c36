"""What the kills of one campaign amount to: figures, violations, reasons for showing nothing."""

import shlex
import shutil
from collections import Counter
from collections.abc import Container, Sequence
from typing import Any, Final

import msgspec

from durability.audit.violation import Violation
from durability.campaign.cycle import FROM_COARSE_TO_FINE, Cycle, Found, Plan
from durability.targets.contract import Target

_PROMISING_SHARE_MIN: Final = 0.05
_REASONS_MAX: Final = 3
UNPROMISING: Final = "anything was acknowledged before only"
"""How a reason begins that says that kills came when there was nothing to lose."""


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


def violations(
    target: Target, plan: Plan, cycles: Sequence[Cycle], unkilled: Container[str] = ()
) -> list[Violation]:
    """Return one violation of each kind, the one that the coarsest tear shows, with its count.

    Each worker kept the coarsest of each kind that it met; the other folders are removed.
    `unkilled` are the kinds that a run without a kill shows as well.
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
    result: list[Violation] = []
    for kind, one in sorted(chosen.items()):
        context = f"in {kills_counted(kills[kind])}; {_label(target, plan, one)}"
        if kind in unkilled:
            context += "; also without any kill: is the description right?"
        reproduce = f"durability replay {shlex.quote(one.folder)}" if one.folder else ""
        result.append(
            msgspec.structs.replace(
                one.violation,
                message=f"{one.violation.message} ({context})",
                tear=one.tear,
                reproduce=reproduce,
            )
        )
    return result


def reasons(cycles: Sequence[Cycle], own: Sequence[str] = (), *, drawn: bool = True) -> list[str]:
    """Return why the kills may show nothing: they missed, little was promised, nothing fits.

    A campaign's `own` reasons come behind kills that missed. Of kills that were not `drawn`, but
    are all there are, one that something was acknowledged before is enough.
    """
    landed = [cycle for cycle in cycles if cycle.landed]
    promising = sum(cycle.acknowledged > 0 for cycle in landed)
    missed = Counter(cycle.why for cycle in cycles if not cycle.landed)
    found = [f"{kills_counted(count)} did not land: {why}" for why, count in missed.most_common()]
    found += own
    found += sorted({fault for cycle in cycles for fault in cycle.faults})
    enough = _PROMISING_SHARE_MIN * len(landed) if drawn else 1
    if landed and promising < enough:
        found.append(
            f"{UNPROMISING} {promising} of {kills_counted(len(landed))}:"
            " does the program print its acknowledgements, and flush its standard output after"
            " each?"
        )
    return found


def most_important(reasons: Sequence[str]) -> list[str]:
    """Return the first few, each once."""
    return list(dict.fromkeys(reasons))[:_REASONS_MAX]


def kills_counted(count: int) -> str:
    """Return the number with its noun."""
    return f"{count} kill" if count == 1 else f"{count} kills"


def _coarseness(found: Found) -> tuple[int, bool]:
    return FROM_COARSE_TO_FINE.index(found.tear), found.folder is None


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
