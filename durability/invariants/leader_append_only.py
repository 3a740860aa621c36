"""P2, leader append-only.

Source: Raft paper, figure 3 and section 5.3.
Formal: Truncate(n, i) => n does not lead; Append(n, i) => i = last(n) + 1.
Cost: O(1) an event.
"""

from durability.invariants.events import Appended, Event, Truncated
from durability.invariants.property import Property
from durability.invariants.record import Record


class LeaderAppendOnly(Property):
    """A leader that enters a later term is none any more: its truncation there is legal."""

    id = "P2"
    guarantee = "a leader never overwrites or deletes entries in its log; it only appends"
    watches = (Truncated, Appended)

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge what a leader does to its log, and that no log has a hole."""
        match event:
            case Truncated(node, first_index) if record.node(node).is_leader():
                return f"node {node}, leading, removed its log from index {first_index} on"
            case Appended(node, entry) if entry.index != record.node(node).last_index + 1:
                last_index = record.node(node).last_index
                return f"node {node} stored entry {entry.index} after entry {last_index}"
        return None
