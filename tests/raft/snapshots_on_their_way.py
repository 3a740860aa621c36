"""A snapshot that a leader sends, or that is made by hand."""

import struct

from raft.log_entry import EntryType, LogEntry
from raft.message import Message, MessageType
from raft.peer import encode_peers
from tests.raft.cluster import Cluster, Envelope, peer

COMMANDS = [b"command %d" % n for n in range(20)]


def behind(**settings: int) -> Cluster:
    """Node 3 lacks what nodes 1 and 2 have compacted; the leader is 1, its first chunk is out."""
    cluster = Cluster(snapshot_chunk_bytes=50, **settings)
    cluster.elect(1)
    cluster.propose(b"first")
    cluster.kill(3)
    cluster.propose(*COMMANDS)
    cluster.leader.take_snapshot()
    cluster.restart(3)
    cluster.sent.clear()
    return cluster


def chunks(cluster: Cluster, until: int = 10_000) -> list[Envelope]:
    """Let the transfer run, and return its chunks as they were sent."""
    cluster.tick(1, times=8)
    sent = [one for one in cluster.sent if one.message.type is MessageType.INSTALL_SNAPSHOT]
    return sent[:until]


def has_caught_up(cluster: Cluster) -> None:
    cluster.catch_up()
    cluster.agree_on([b"first", *COMMANDS])
    assert cluster.nodes[3].last_index == cluster.nodes[1].last_index
    assert "snapshot.tmp" not in cluster.disks[3].names


def stream_of(index: int, term: int) -> bytes:
    """What a snapshot of an empty state is on the wire."""
    peers = encode_peers([peer(1), peer(2), peer(3)])
    return struct.pack("<QQI", index, term, len(peers)) + peers


def install(index: int, term: int, leader_term: int) -> Message:
    """The only chunk of such a snapshot."""
    stream = stream_of(index, term)
    return Message(
        7,
        MessageType.INSTALL_SNAPSHOT,
        1,
        leader_term,
        prev_log_index=index,
        prev_log_term=term,
        last_log_term=len(stream),
        success=True,
        data=stream,
    )


def append_entry(leader_term: int, prev: tuple[int, int], command: bytes) -> Message:
    """An AppendEntries of one entry of the leader's own term."""
    entry = LogEntry(leader_term, prev[0] + 1, EntryType.NORMAL, command)
    return Message(
        7,
        MessageType.APPEND_ENTRIES,
        1,
        leader_term,
        prev_log_index=prev[0],
        prev_log_term=prev[1],
        commit_index=prev[0] + 1,
        entries_count=1,
        data=entry.encode(),
    )
