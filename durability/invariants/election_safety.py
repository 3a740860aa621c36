"""P1, election safety: one leader a term, over all of history and not only at one moment.

Source: Raft paper, figure 3 and section 5.2.
Formal: BecomeLeader(n, t) => leader_of(t) in {none, n}; n sends a leader's message of t =>
leader_of(t) = n.
Cost: O(1) an event.
"""

from durability.invariants.events import Event, RoleChanged, Sent
from durability.invariants.property import Property
from durability.invariants.record import Record
from raft.message import MessageType

_OF_A_LEADER = {
    MessageType.APPEND_ENTRIES,
    MessageType.INSTALL_SNAPSHOT,
    MessageType.TIMEOUT_NOW,
}


class ElectionSafety(Property):
    """Comparing leaders that lead at the same time would miss one that takes over silently."""

    id = "P1"
    guarantee = "at most one leader can be elected in a given term"
    watches = (RoleChanged, Sent)

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge who leads, and who speaks as a leader."""
        match event:
            case RoleChanged(node, "leader", term):
                leader = record.leader_of.get(term, node)
                if leader != node:
                    return f"node {node} became leader of term {term}, which node {leader} led"
            case Sent(node, _, message) if message.type in _OF_A_LEADER:
                leader_id = record.leader_of.get(message.term)
                if leader_id != node:
                    return (
                        f"node {node} sent {message.type.name} of term {message.term}, "
                        f"whose leader is {leader_id or 'nobody'}"
                    )
        return None
