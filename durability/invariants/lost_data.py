"""P20, a node that lost durable data does not vote as if it had not.

Source: Alagappan et al. 2018 (Protocol-Aware Recovery); Raft paper, section 5.4.1, whose argument
needs the voter to remember.
Formal: Started(n, lost) => n neither votes nor stands until its log again begins with what it had
acknowledged, or it knows the log to be committed beyond that.
Cost: O(1) an event.

Acknowledgements need no rule of their own: P8 compares them with the disk.
"""

from durability.invariants.events import Event, Sent, Started, TermSaved
from durability.invariants.property import Property
from durability.invariants.record import Digest, Record
from raft.message import MessageType


class LostData(Property):
    """What a node had is known from its record, which outlives its disk."""

    id = "P20"
    guarantee = "a node that has lost durable entries takes no part in elections until repaired"
    watches = (Started, Sent, TermSaved)

    def __init__(self) -> None:
        self._lost: dict[int, tuple[int, Digest | None]] = {}

    def judge(self, record: Record, event: Event) -> str | None:
        """Note what is lost; judge votes until it is back."""
        match event:
            case Started(node, lost=True) if node in record.nodes:
                before = record.node(node)
                self._lost[node] = (before.last_index, before.digest(before.last_index))
            case Sent(node, _, message) if node in self._lost:
                index, digest = self._lost[node]
                log = record.node(node)
                if log.holds(index, digest) or log.commit_index >= index:
                    del self._lost[node]
                elif message.type is MessageType.REQUEST_VOTE or (
                    message.type is MessageType.REQUEST_VOTE_RESPONSE and message.success
                ):
                    return (
                        f"node {node} took part in the election of term {message.term}, having "
                        f"lost its log from {log.last_index + 1} to {index}"
                    )
        return None
