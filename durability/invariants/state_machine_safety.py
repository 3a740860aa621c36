"""P5, state machine safety.

Source: Raft paper, figure 3 and section 5.4.3.
Formal: Apply(n, i) => i <= commit_hi and H_n(i) = committed(i); likewise for a snapshot of i.
Cost: O(1) an event.
"""

from durability.invariants.events import Applied, Event, SnapshotSaved
from durability.invariants.property import Property
from durability.invariants.record import Record


class StateMachineSafety(Property):
    """What a snapshot stands for counts as applied."""

    id = "P5"
    guarantee = (
        "if a server has applied a log entry at a given index, "
        "no other server will ever apply a different log entry for the same index"
    )
    watches = (Applied, SnapshotSaved)

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge what is applied, and what a snapshot stands for."""
        match event:
            case Applied(node, index):
                digest = record.node(node).digest(index)
            case SnapshotSaved(node, snapshot):
                index = snapshot.index
                digest = record.digest_of.get((index, snapshot.term))
            case _:
                return None
        if index > record.committed_index:
            return f"node {node} applied entry {index}; {record.committed_index} is committed"
        if digest != record.committed[index][1]:
            return f"node {node} applied an entry {index} that is not the committed one"
        return None
