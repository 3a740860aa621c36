"""P17, sometimes: what a campaign must have seen for its silence to mean anything.

Source: Antithesis, 'sometimes assertions'; Jepsen on TigerBeetle 0.16.11, where the workload was
too weak for the simulator to find what it was made for.
Formal: over a campaign each counter is above 0.
Cost: O(1) an event.
"""

from collections import Counter

from durability.invariants.events import (
    Appended,
    Applied,
    Event,
    ReadServed,
    RoleChanged,
    SnapshotSaved,
    Started,
    Truncated,
)
from durability.invariants.property import Property
from durability.invariants.record import Record
from raft.log_entry import EntryType

SITUATIONS = (
    "election",
    "re-election",
    "conflict truncated",
    "snapshot taken",
    "snapshot installed",
    "configuration changed",
    "restart",
    "read served",
    "command applied",
    "command repeated",
)


class Sometimes(Property):
    """It never breaks on an event; `missing` says what a campaign did not exercise."""

    id = "P17"
    guarantee = "a campaign exercises every situation that the other properties are about"
    watches = (Started, RoleChanged, Truncated, SnapshotSaved, Appended, ReadServed, Applied)

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def judge(self, record: Record, event: Event) -> str | None:
        """Count the situation; nothing is wrong with it."""
        match event:
            case Started(node) if node in record.nodes:
                self.seen["restart"] += 1
            case RoleChanged(role="leader"):
                self.seen["re-election" if record.leader_of else "election"] += 1
            case Truncated():
                self.seen["conflict truncated"] += 1
            case SnapshotSaved(node, snapshot):
                own = snapshot.index <= record.node(node).commit_index
                self.seen["snapshot taken" if own else "snapshot installed"] += 1
            case Appended(node, entry) if entry.type is EntryType.CONFIGURATION:
                self.seen["configuration changed"] += 1
            case ReadServed():
                self.seen["read served"] += 1
            case Applied(fresh=fresh):
                self.seen["command applied" if fresh else "command repeated"] += 1
        return None

    def missing(self) -> list[str]:
        """Say which situations never came about."""
        return [situation for situation in SITUATIONS if not self.seen[situation]]
