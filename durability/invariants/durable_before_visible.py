"""P8, durable before visible.

Source: Raft paper, figure 2 ('updated on stable storage before responding to RPCs').
Formal: n sends a message of term t => durable term(n) >= t; a vote of t for c => durable
(term, vote)(n) = (t, c); n stands with last index i => durable last(n) >= i; an acknowledgement of
i to the leader L of t => durable H_n(i) = H_L(i).
Cost: O(1) an event.

PreVote and its response are exempt: they carry a term that nobody has entered. So are the entries
in a leader's AppendEntries, whose term is not: it may send them while its own disk is still writing
(Ongaro 2014, section 10.2.1), since that promises nothing, and P10 sees that it does not count
itself. The leader's log is compared only while it is still in that term, afterwards it may have
been truncated; where it has not got the entry durably, what it has sent stands for it (P3).
"""

from durability.invariants.events import Event, Sent
from durability.invariants.property import Property
from durability.invariants.record import NodeRecord, Record
from raft.message import Message, MessageType

PRE_VOTES = {MessageType.PRE_VOTE, MessageType.PRE_VOTE_RESPONSE}


class DurableBeforeVisible(Property):
    """Durable is what the disk says, not the node."""

    id = "P8"
    guarantee = "terms, votes and entries are on stable storage before any message reveals them"
    watches = (Sent,)

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge each message by the sender's disk."""
        if not isinstance(event, Sent) or event.message.type in PRE_VOTES:
            return None
        node, message = event.node, event.message
        log = record.node(node)
        if message.term > log.term:
            return f"node {node} sent term {message.term}; {log.term} is durable"
        match message.type:
            case MessageType.REQUEST_VOTE:
                return _judge_candidacy(node, log, message)
            case MessageType.REQUEST_VOTE_RESPONSE if message.success:
                return _judge_vote(node, log, message, event.receiver)
            case MessageType.APPEND_ENTRIES_RESPONSE if message.success:
                return _judge_acknowledgement(record, node, event.receiver, message)
        return None


def _judge_candidacy(node: int, log: NodeRecord, message: Message) -> str | None:
    if message.last_log_index > log.last_index:
        return (
            f"node {node} stands with entry {message.last_log_index}; {log.last_index} is durable"
        )
    return _judge_vote(node, log, message, node)


def _judge_vote(node: int, log: NodeRecord, message: Message, candidate: int) -> str | None:
    if (log.term, log.voted_for) == (message.term, candidate):
        return None
    return (
        f"node {node} sent its vote of term {message.term} for node {candidate}; "
        f"durable is term {log.term}, vote {log.voted_for}"
    )


def _judge_acknowledgement(
    record: Record, node: int, receiver: int, message: Message
) -> str | None:
    log = record.node(node)
    index = message.last_log_index
    if index > log.last_index:
        return f"node {node} acknowledged entry {index}; {log.last_index} is durable"
    leader = record.nodes.get(receiver)
    if leader is None or not leader.is_leader() or leader.term != message.term:
        return None
    digest = leader.digest(index) or record.digest_of.get((index, log.term_at(index) or 0))
    if digest is not None and not log.holds(index, digest):
        return f"node {node} acknowledged entry {index}, but has another than its leader"
    return None
