"""Keeping a state that a fault of a disk has led to, for `durability replay`."""

import shlex
from collections.abc import Container, Iterable, Mapping, Sequence

import msgspec

from durability.campaign.cycle import Plan
from durability.crash.content import Content
from durability.errors import CannotKeepError
from durability.report.crash_state import CrashStateCase, Damage, LossViolation, keep


def case_of(
    plan: Plan,
    violation: LossViolation,
    content: Content,
    lines: list[str],
    later: Iterable[str],
    damage: Damage = "",
) -> CrashStateCase:
    """Return a violation with the state that shows it, and the lines that were printed by then."""
    return CrashStateCase(
        target=plan.target_name,
        heard=lines,
        later=sorted(later),
        violations=[violation],
        files=dict(content.files),
        links=dict(content.links),
        directories=sorted(content.directories),
        damage=damage,
    )


def kept(
    violations: Sequence[LossViolation],
    cases: Mapping[str, CrashStateCase],
    known: Container[str],
    target_name: str,
    plan: Plan,
) -> list[LossViolation]:
    """Keep cases, by the kinds that they show; tell in the violations how to replay them.

    Of the `known` kinds one was kept before.
    """
    return [
        _kept(violation, cases[violation.kind], target_name, plan)
        if violation.kind in cases and violation.kind not in known
        else violation
        for violation in violations
    ]


def _kept(
    violation: LossViolation, case: CrashStateCase, target_name: str, plan: Plan
) -> LossViolation:
    try:
        path = keep(case, target_name, plan.findings)
    except CannotKeepError as error:
        return msgspec.structs.replace(violation, message=f"{violation.message}; {error}")
    return msgspec.structs.replace(violation, reproduce=f"durability replay {shlex.quote(path)}")
