"""P20, a node that lost durable data does not vote as if it had not.

Source: Alagappan et al. 2018 (Protocol-Aware Recovery); Raft paper, section 5.4.1, whose argument
needs the voter to remember.
Formal: Started(n, lost) => n neither votes nor stands until its log again begins with what it had,
or it knows the log to be committed beyond that, or by a leader of a later term than it was in, who
has all of it that was ever committed.
Cost: O(1) an event.

Acknowledgements need no rule of their own: P8 compares them with the disk.
"""

from durability.invariants.events import Event, Sent
from durability.invariants.property import Property
from durability.invariants.record import Record
from raft.message import MessageType


class LostData(Property):
    """What a node had is known from its record, which outlives its disk.

    Until then it counts with what it had (P10): no leader can be elected without those who have it.
    """

    id = "P20"
    guarantee = "a node that has lost durable entries takes no part in elections until repaired"
    watches = (Sent,)

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge the votes of a node that has lost something until it is back."""
        match event:
            case Sent(node, _, message) if node in record.lost:
                if message.type is MessageType.REQUEST_VOTE or (
                    message.type is MessageType.REQUEST_VOTE_RESPONSE and message.success
                ):
                    log, before = record.node(node), record.lost[node]
                    return (
                        f"node {node} took part in the election of term {message.term}, having "
                        f"lost its log from {log.last_index + 1} to {before.last_index}"
                    )
        return None
