"""What a program makes of a disk that has lost or changed what it had acknowledged.

No single node can keep its promises on such a disk, so that something is missing is no violation by
itself. The rule:

- **refused** (recovery fails, or the node stays out of elections), or **intact** (nothing that was
  acknowledged is missing): as it should be;
- what a recovery breaks by itself, such as a log that it leaves with a hole, no damage excuses;
- shown as good is what was never written, or in a wrong order: `damage-served`;
- acknowledged items are missing, nothing was said, and the files prove the loss: `damage-hidden`.
  For the built-in node the second reader of its format says what they prove;
- **lost**: missing without a word, but nothing on the disk proves it. A drive that goes back to an
  older state of everything is like that. Rot is not, but in the tail of a log: one that ends in the
  middle of its last batch is what a power cut leaves, too.

Of another program's files nothing is known. Rot that makes it pass over more than its last item is
`damage-hidden`; what a lying drive lost counts as lost. Where its own audit raises and items are
missing, too, nobody can tell whether it is about more than these: that is **untold**.
"""

import os
from typing import Final, Literal

import msgspec

from durability.audit.data_directory import DirectoryInMemory
from durability.audit.guarantees import breach
from durability.audit.judgement import Judgement, audit_before
from durability.audit.promises import Promises
from durability.audit.recovered import DirectoryAudit
from durability.audit.violation import Violation
from durability.crash.content import Content
from durability.report.crash_state import Damage
from durability.targets.contract import Target

End = Literal["refused", "intact", "lost", "wrong", "untold"]
"""How damage was met; `wrong` is where a guarantee was broken."""

_SERVED: Final = frozenset({"invented", "duplicated", "order"})
_STAYS_OUT: Final = frozenset({"not-elected", "not-accepting"})
"""Both: who leads again, but in a term that was there before, has forgotten and not refused."""
_MISSING: Final = frozenset({"lost", "not-a-member", "term-regressed", "vote-changed"})
"""What was promised, and may break where something is missing."""
_DEPENDS: Final = _SERVED | _STAYS_OUT | _MISSING | {"recovery-failed", "audit"}
"""What is judged by the rule; every other kind is recovery's own doing."""
_UNTOLD: Final = "the target's own audit does not tell what is missing from what is wrong"


def judge_damage(
    target: Target, content: Content, promises: Promises, judgement: Judgement, damage: Damage
) -> tuple[End, Judgement]:
    """Judge the recovery of a damaged disk; `judgement` is what would be said of another."""
    files = {os.fsdecode(path): data for path, data in content.files.items()}
    before = audit_before(target, DirectoryInMemory("memory", files))
    acknowledged = promises.ledger.acknowledged
    last = acknowledged[-1] if acknowledged else None
    end, violations = ended(judgement, before, last, is_rot=damage == "rot")
    faults = [*judgement.faults, *([_UNTOLD] if end == "untold" else [])]
    return end, msgspec.structs.replace(judgement, violations=violations, faults=faults)


def ended(
    judgement: Judgement, before: DirectoryAudit | None, last: str | None, *, is_rot: bool
) -> tuple[End, list[Violation]]:
    """Return how a recovery of a damaged disk met the damage, and what of that is a violation.

    `before` is what the second reader of the format says of the damaged disk, None where there is
    none; `last` is the item that was acknowledged last.
    """
    at_rest = {(v.kind, v.message) for v in before.violations} if before is not None else set()
    met = [v for v in judgement.violations if (v.kind, v.message) not in at_rest]
    kinds = {violation.kind for violation in met}
    if wrong := _unexcused(met, judgement.lost):
        return "wrong", wrong
    if "recovery-failed" in kinds or kinds >= _STAYS_OUT:
        return "refused", []
    if not kinds:
        return "intact", []
    if "audit" in kinds:
        return "untold", []
    if _is_proven(judgement, before, last, is_rot=is_rot):
        return "wrong", [breach("damage-hidden", "; ".join(v.message for v in met))]
    return "lost", []


def _unexcused(met: list[Violation], lost: int) -> list[Violation]:
    """Return what is a violation whatever was damaged; `lost` items were missing."""
    kinds = {violation.kind for violation in met}
    if kinds - _DEPENDS:
        return met
    if kinds & _SERVED:
        return [breach("damage-served", "; ".join(v.message for v in met if v.kind in _SERVED))]
    if "audit" in kinds and not lost:
        return met
    if kinds & _STAYS_OUT == {"not-accepting"}:
        return met
    return []


def _is_proven(
    judgement: Judgement, before: DirectoryAudit | None, last: str | None, *, is_rot: bool
) -> bool:
    """Tell whether the files show that something is missing, other than what a torn tail takes."""
    if before is None:
        return is_rot and (judgement.lost > 1 or last in judgement.recovered)
    return before.verdict == "violation" or (is_rot and before.tail == "clean")
