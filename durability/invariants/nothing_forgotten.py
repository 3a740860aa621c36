"""P9, nothing that was said is forgotten.

Source: Raft paper, figure 2 (persistent state); CCF's MonoTermInv; TigerBeetle's replica_head_max.
Formal: Restart(n) => term(n) >= every term that n sent; the vote of that term is the one given; the
log begins with what n acknowledged last, but for what a leader had it truncate since.
Cost: O(1) an event, and a restart.

PreVote and its response are exempt, as in P8. A disk that is known to have lost data is P20's.
"""

from durability.invariants.durable_before_visible import PRE_VOTES
from durability.invariants.events import Event, Sent, SnapshotSaved, Started, Truncated
from durability.invariants.property import Property
from durability.invariants.record import Digest, NodeRecord, Record, prefix_digest
from raft.message import MessageType


class NothingForgotten(Property):
    """What left a node is compared with what it recovers."""

    id = "P9"
    guarantee = "terms, votes and acknowledged entries survive every crash"
    watches = (Started, Sent, Truncated, SnapshotSaved)

    def __init__(self) -> None:
        self._terms: dict[int, int] = {}
        self._votes: dict[tuple[int, int], int] = {}
        self._acknowledged: dict[int, tuple[int, Digest | None]] = {}

    def judge(self, record: Record, event: Event) -> str | None:
        """Note what is said; judge what is recovered."""
        match event:
            case Sent(node):
                self._note(record.node(node), event)
            case Truncated(node, first_index):
                index, _ = self._acknowledged.get(node, (0, None))
                if first_index <= index:
                    kept = first_index - 1
                    self._acknowledged[node] = (kept, record.node(node).digest(kept))
            case SnapshotSaved(node, snapshot):
                # An installed snapshot may replace a log that had another entry there.
                index, _ = self._acknowledged.get(node, (0, None))
                point = record.digest_of.get((snapshot.index, snapshot.term))
                if index >= snapshot.index and record.node(node).digest(snapshot.index) != point:
                    self._acknowledged[node] = (snapshot.index, point)
            case Started(node, lost=False):
                return self._judge_recovered(record, event)
            case Started(node):
                self._acknowledged.pop(node, None)
        return None

    def _note(self, log: NodeRecord, event: Sent) -> None:
        node, message = event.node, event.message
        if message.type in PRE_VOTES:
            return
        self._terms[node] = max(message.term, self._terms.get(node, 0))
        if message.type is MessageType.REQUEST_VOTE:
            self._votes[node, message.term] = node
        elif message.success and message.type is MessageType.REQUEST_VOTE_RESPONSE:
            self._votes[node, message.term] = event.receiver
        elif message.success and message.type is MessageType.APPEND_ENTRIES_RESPONSE:
            index = message.last_log_index
            if index >= self._acknowledged.get(node, (0, None))[0]:
                self._acknowledged[node] = (index, log.digest(index))

    def _judge_recovered(self, record: Record, event: Started) -> str | None:
        node = event.node
        sent_term = self._terms.get(node, 0)
        if event.term < sent_term:
            return f"node {node} recovered term {event.term}; it had sent term {sent_term}"
        vote = self._votes.get((node, event.term))
        if vote not in (None, event.voted_for):
            return (
                f"node {node} recovered vote {event.voted_for} of term {event.term}; "
                f"it had voted for node {vote}"
            )
        index, digest = self._acknowledged.get(node, (0, None))
        if index <= event.snapshot.index or digest is None:
            return None
        found = record.digest_of.get((event.snapshot.index, event.snapshot.term))
        for entry in event.entries[: index - event.snapshot.index]:
            found = found and prefix_digest(found, entry)
        last_index = event.snapshot.index + len(event.entries)
        if last_index < index or (found is not None and found != digest):
            return (
                f"node {node} recovered a log up to entry {last_index}; "
                f"it had acknowledged entry {index}, which is missing or another"
            )
        return None
