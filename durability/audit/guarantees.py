"""The guarantees: each kind of violation, and the sentence it breaks."""

from collections.abc import Mapping
from typing import Final

from durability.audit.violation import Violation

GUARANTEES: Final[Mapping[str, str]] = {
    # What the client was promised.
    "lost": "Every acknowledged item is there after every crash.",
    "invented": "Nothing is recovered that was never announced.",
    "order": "Items are recovered in the order in which they were written, none left out.",
    "duplicated": "An item is recovered as often as it was written, not more often.",
    "not-durable": "What was written for an item is durable before the item is acknowledged.",
    # What a data directory must give, at rest or recovered.
    "corrupt": "What was durable can be read back: checksums, lengths and order are right.",
    "log-gap": "The log has no holes: each entry's index follows the one before.",
    "commit-beyond-log": (
        "What was committed, or known to be durable, is in the log or the snapshot after every"
        " crash."
    ),
    "snapshot-mismatch": "A snapshot's header, its body and the log beside it agree.",
    "term-beyond-metadata": (
        "No entry or snapshot has a term above the current one, which is durable before its use."
    ),
    "invalid-vote": "A vote is for a node, in a term in which one can vote.",
    "invalid-configuration": (
        "Every configuration is a list of distinct peers, with a voter among them."
    ),
    "wrong-directory": "Every file was written for the directory it is in, and under its name.",
    "unknown-format": "Every file has a format version and features that its reader knows.",
    # What must hold whatever the disk did.
    "damage-served": "Nothing is shown as good that was not written, whatever the disk did to it.",
    "damage-hidden": "Damage that the files prove is refused, reported or repaired, never hidden.",
    # What recovery must do.
    "error-escaped": "What a disk reports reaches the program as an error of the disk.",
    "recovery-failed": "Recovery succeeds after every crash.",
    "recovery-hung": "Recovery ends within its time after every crash.",
    "recovery-signalled": "Recovery does not crash, whatever the crash before it left.",
    "audit": "The target's own audit accepts what was recovered.",
    "temporary-left": "No temporary file is left after recovery.",
    "unclean-tail": "After recovery the log ends with a whole record.",
    "segment-left": "Segments that a snapshot stands for are gone after recovery.",
    # What a Raft node promised beyond items.
    "term-regressed": "The current term never falls.",
    "vote-changed": "A node votes for at most one candidate in a term.",
    "not-a-member": "A node whose bootstrap was acknowledged is in its own configuration.",
    "not-elected": "A single voter elects itself again after every crash, in a higher term.",
    "not-accepting": "A node that was elected after a crash accepts a proposal and stores it.",
    "report-disagrees": "A node recovers what its directory holds, and says so.",
}
"""By kind; a kind's name is stable, its sentence may be made clearer."""


def breach(kind: str, message: str) -> Violation:
    """Return the violation of one guarantee; `message` says what was seen instead of it."""
    return Violation(kind=kind, invariant=GUARANTEES[kind], message=message)
