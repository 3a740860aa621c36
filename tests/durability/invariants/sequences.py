"""Event sequences to judge: three voters who share a first configuration, and what they do."""

from collections.abc import Iterable

from durability.invariants.events import (
    Appended,
    Committed,
    Event,
    Returned,
    RoleChanged,
    Sent,
    SnapshotPoint,
    Started,
    TermSaved,
)
from raft.log_entry import EntryType, LogEntry
from raft.message import Message, MessageType
from raft.peer import Peer, PeerRole, encode_peers


def voters(*ids: int) -> tuple[Peer, ...]:
    return tuple(Peer(peer_id, PeerRole.VOTER, "") for peer_id in ids)


PEERS = voters(1, 2, 3)
FOUNDATION = LogEntry(1, 1, EntryType.CONFIGURATION, encode_peers(PEERS))
NO_SNAPSHOT = SnapshotPoint()


def command(term: int, index: int, data: bytes = b"") -> LogEntry:
    return LogEntry(term, index, EntryType.NORMAL, data)


def configuration(term: int, index: int, *ids: int) -> LogEntry:
    return LogEntry(term, index, EntryType.CONFIGURATION, encode_peers(voters(*ids)))


def started(
    node: int,
    *entries: LogEntry,
    term: int = 1,
    voted_for: int | None = None,
    snapshot: SnapshotPoint = NO_SNAPSHOT,
    peers: tuple[Peer, ...] = PEERS,
    lost: bool = False,
) -> Started:
    return Started(node, term, voted_for, snapshot, entries, peers, lost)


def group(*ids: int) -> list[Event]:
    return [started(node, FOUNDATION) for node in ids or (1, 2, 3)]


def leads(node: int, term: int) -> list[Event]:
    return [
        TermSaved(node, term, node),
        RoleChanged(node, "candidate", term),
        RoleChanged(node, "leader", term),
    ]


def appended(nodes: Iterable[int], *entries: LogEntry) -> list[Event]:
    return [Appended(node, entry) for node in nodes for entry in entries]


def sent(node: int, receiver: int, kind: MessageType, term: int, **fields: int) -> Sent:
    values = {"group_id": 1, "sender": node, "term": term, **fields}
    return Sent(node, receiver, Message(type=kind, **values))  # type: ignore[arg-type]  # all ints


def sends(node: int, receiver: int, before: tuple[int, int], *entries: LogEntry) -> Sent:
    """Send entries that follow the one of this index and term, as the leader of their last term."""
    message = Message(
        group_id=1,
        type=MessageType.APPEND_ENTRIES,
        sender=node,
        term=entries[-1].term,
        prev_log_index=before[0],
        prev_log_term=before[1],
        entries_count=len(entries),
        data=b"".join(entry.encode() for entry in entries),
    )
    return Sent(node, receiver, message)


def returned(
    node: int,
    *,
    term: int = 1,
    snapshot: int = 0,
    applied: int = 0,
    commit: int = 0,
    durable: int = 1,
    last: int = 1,
    peers: tuple[Peer, ...] = PEERS,
) -> Returned:
    return Returned(node, term, snapshot, applied, commit, durable, last, peers)


def committed_by_first_leader() -> list[Event]:
    """Node 1 leads term 2, and nodes 1 and 2 hold its first command, which it has committed."""
    return [
        *group(),
        *leads(1, 2),
        *appended((1,), command(2, 2)),
        TermSaved(2, 2, 1),
        *appended((2,), command(2, 2)),
        Committed(1, 2),
    ]
