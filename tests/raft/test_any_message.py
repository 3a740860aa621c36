"""Whatever arrives, in whatever order, a node takes it or counts it, and keeps its promises."""

import dataclasses
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from raft.effects import SendMessage
from raft.log_entry import EntryType, LogEntry
from raft.message import Message, MessageType
from raft.node import Node
from raft.peer import PeerRole, encode_peers
from tests.raft.cluster import Cluster, peer
from tests.raft.disks import Disk, MemoryFilesystem
from tests.raft.journal import Journal
from tests.strategies import unsigned

SMALL = st.integers(0, 6)
NUMBERS = SMALL | unsigned(64)


@st.composite
def payloads(draw: st.DrawFn) -> tuple[int, bytes]:
    """A run of entries, a snapshot's stream, or anything."""
    kind = draw(st.sampled_from(["entries", "stream", "bytes"]))
    if kind == "bytes":
        return draw(SMALL), draw(st.binary(max_size=60))
    ids = draw(st.lists(st.integers(1, 5), unique=True, max_size=4))
    peers = encode_peers([peer(node_id, draw(st.sampled_from(PeerRole))) for node_id in ids])
    if kind == "stream":
        return 0, struct.pack("<QQI", draw(SMALL), draw(SMALL), len(peers)) + peers
    first = draw(st.integers(1, 6))
    terms = draw(st.lists(st.integers(0, 6), max_size=4).map(sorted))
    entries = [
        LogEntry(term, index, entry_type, peers if entry_type is EntryType.CONFIGURATION else b"x")
        for index, term in enumerate(terms, first)
        for entry_type in [draw(st.sampled_from(EntryType))]
    ]
    return len(entries), b"".join(entry.encode() for entry in entries)


@st.composite
def arrivals(draw: st.DrawFn) -> Message:
    """A message that could be meant for node 3, if it is not quite impossible."""
    count, data = draw(payloads())
    return Message(
        group_id=7,
        type=draw(st.sampled_from(MessageType)),
        sender=draw(st.integers(0, 5)),
        term=draw(NUMBERS),
        prev_log_index=draw(NUMBERS),
        prev_log_term=draw(NUMBERS),
        commit_index=draw(NUMBERS),
        last_log_index=draw(NUMBERS),
        last_log_term=draw(st.sampled_from([len(data)]) | NUMBERS),
        success=draw(st.booleans()),
        reject_hint=draw(NUMBERS),
        entries_count=count,
        data=data,
    )


@settings(max_examples=300)
@given(steps=st.lists(arrivals() | st.integers(1, 20), max_size=25), bootstrapped=st.booleans())
def test_a_node_takes_whatever_arrives(steps: list[Message | int], *, bootstrapped: bool) -> None:
    cluster = Cluster()
    disk = cluster.disks[3] if bootstrapped else Disk()
    config = dataclasses.replace(cluster.config, node_id=3)
    node = Node(config, Journal(), MemoryFilesystem(disk))
    for step in steps:
        before = (node.current_term, node.commit_index, node.last_applied)
        vote = node.voted_for
        if isinstance(step, int):
            for _ in range(step):
                node.tick()
        else:
            node.step(step)
        assert (node.current_term, node.commit_index, node.last_applied) >= before
        assert node.commit_index == node.last_applied >= before[1]
        if node.current_term == before[0] and vote is not None:
            assert node.voted_for == vote
        assert node.snapshot_index <= node.commit_index <= node.last_index
        again = Node(config, Journal(), MemoryFilesystem(Disk.of(disk.after_power_cut())))
        assert (again.current_term, again.voted_for) == (node.current_term, node.voted_for)
        assert (again.last_index, again.peers) == (node.last_index, node.peers)
        for effect in node.take_effects():
            if isinstance(effect, SendMessage):
                effect.message.encode()
