"""What a leader sends, made by hand, and a follower to give it to."""

from collections.abc import Sequence

from raft.log_entry import EntryType, LogEntry
from raft.message import Message, MessageType
from tests.raft.cluster import Cluster, Envelope


def append_entries(
    term: int,
    prev: tuple[int, int],
    entries: Sequence[LogEntry] = (),
    *,
    sender: int = 1,
    commit_index: int = 0,
) -> Message:
    return Message(
        7,
        MessageType.APPEND_ENTRIES,
        sender,
        term,
        prev_log_index=prev[0],
        prev_log_term=prev[1],
        commit_index=commit_index,
        entries_count=len(entries),
        data=b"".join(entry.encode() for entry in entries),
    )


def entry(index: int, term: int) -> LogEntry:
    return LogEntry(term, index, EntryType.NORMAL, b"%d of term %d" % (index, term))


def follower(*terms: int) -> Cluster:
    """Node 3 of three, given by node 1 a log of entries of these terms after the first one."""
    cluster = Cluster()
    prev = (1, 1)
    for index, term in enumerate(terms, 2):
        cluster.deliver(Envelope(1, 3, append_entries(term, prev, [entry(index, term)])))
        prev = (index, term)
    assert cluster.nodes[3].last_index == 1 + len(terms)
    cluster.sent.clear()
    return cluster


def answer(cluster: Cluster, message: Message) -> Message:
    """Deliver to node 3 and return what it answers."""
    cluster.deliver(Envelope(message.sender, 3, message))
    return cluster.sent[-1].message


def log_terms(cluster: Cluster, node_id: int = 3) -> list[int | None]:
    node = cluster.nodes[node_id]
    return [node.term(index) for index in range(node.first_index, node.last_index + 1)]
