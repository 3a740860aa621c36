"""P16, a node's own figures are in order.

Source: openraft, `RaftState::validate`; Raft paper, figure 2.
Formal: snapshot <= applied <= commit <= last, durable <= last, term(last) <= term.
Cost: O(1) a call.
"""

from durability.invariants.events import Event, Returned
from durability.invariants.property import Property
from durability.invariants.record import Record


class StateOrdering(Property):
    """Judged whenever a call ends: in the middle of one a node may be anything."""

    id = "P16"
    guarantee = (
        "what is compacted was applied, what is applied was committed, what is committed is there"
    )
    watches = (Returned,)

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge what a node says of itself."""
        match event:
            case Returned(node, term, snapshot, applied, commit, durable, last, _):
                if not snapshot <= applied <= commit <= last:
                    return (
                        f"node {node}: snapshot {snapshot}, applied {applied}, "
                        f"commit {commit}, last {last}"
                    )
                if durable > last:
                    return f"node {node}: durable {durable}, last {last}"
                if record.node(node).last_term > term:
                    return f"node {node}: an entry of term {record.node(node).last_term} in {term}"
        return None
