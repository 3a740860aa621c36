"""P7, one vote a term, across restarts.

Source: Raft paper, section 5.2; PySyncObj #84 and #202 forgot it over a restart.
Formal: VoteGranted(n, t, c) sent => vote_of(n, t) in {none, c}, a RequestVote of n being its vote
for itself; the durable vote of a term never changes either.
Cost: O(1) an event.
"""

from durability.invariants.events import Event, Sent, TermSaved
from durability.invariants.property import Property
from durability.invariants.record import Record
from raft.message import MessageType


class VoteOnce(Property):
    """Judged on the wire, so that a vote that was forgotten on the disk is found."""

    id = "P7"
    guarantee = "each server votes for at most one candidate in a given term"
    watches = (Sent, TermSaved)

    def __init__(self) -> None:
        self._vote_of: dict[tuple[int, int], int] = {}

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge each vote that leaves a node, and each that becomes durable."""
        match event:
            case Sent(node, receiver, message):
                if message.type is MessageType.REQUEST_VOTE:
                    candidate = node
                elif message.type is MessageType.REQUEST_VOTE_RESPONSE and message.success:
                    candidate = receiver
                else:
                    return None
                first = self._vote_of.setdefault((node, message.term), candidate)
                if first != candidate:
                    return (
                        f"node {node} voted for node {candidate} in term {message.term}, "
                        f"after node {first}"
                    )
            case TermSaved(node, term, voted_for):
                log = record.node(node)
                if term == log.term and log.voted_for not in (None, voted_for):
                    return (
                        f"node {node} replaced its durable vote of term {term}, for "
                        f"node {log.voted_for}, by one for {voted_for or 'nobody'}"
                    )
        return None
