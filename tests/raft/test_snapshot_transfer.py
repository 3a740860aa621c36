"""A snapshot on its way: nothing that happens to it on the network or to the receiver does harm."""

import dataclasses
import struct

import pytest

from raft.effects import ConfigurationChanged, SnapshotInstalled
from raft.message import MessageType
from raft.node import Node
from raft.peer import encode_peers
from tests.raft.cluster import Cluster, Envelope
from tests.raft.disks import Disk, MemoryFilesystem, Operation, WatchedFilesystem
from tests.raft.journal import Journal
from tests.raft.snapshots_on_their_way import (
    COMMANDS,
    behind,
    chunks,
    has_caught_up,
    install,
)


def test_who_lacks_compacted_entries_gets_the_snapshot_and_what_follows() -> None:
    cluster = behind()
    cluster.propose(b"after")
    cluster.catch_up()
    cluster.agree_on([b"first", *COMMANDS, b"after"])
    node = cluster.nodes[3]
    assert (node.snapshot_index, node.last_index, node.peers) == (23, 24, cluster.peers)
    assert SnapshotInstalled(23, 2) in cluster.effects[3]
    assert ConfigurationChanged(23, cluster.peers, committed=True) in cluster.effects[3]
    cluster.restart(3)
    cluster.catch_up()
    cluster.agree_on([b"first", *COMMANDS, b"after"])


def test_the_stream_on_the_wire_is_the_documented_one_c28() -> None:
    cluster = behind()
    sent = [one.message for one in chunks(cluster)]
    stream = b"".join(message.data for message in sent)
    peers = encode_peers(cluster.peers)
    head = struct.pack("<QQI", 23, 2, len(peers)) + peers
    assert stream == head + b"".join(cluster.journals[1].snapshot())
    offset = 0
    for message in sent:
        assert (message.prev_log_index, message.prev_log_term) == (23, 2)
        assert (message.last_log_index, message.last_log_term) == (offset, len(stream))
        assert len(message.data) <= 50
        offset += len(message.data)
        assert message.success == (offset == len(stream))


def test_a_node_that_lags_a_little_needs_no_snapshot() -> None:
    cluster = behind(trailing_entries=30)
    has_caught_up(cluster)
    assert not [one for one in cluster.sent if one.message.type is MessageType.INSTALL_SNAPSHOT]
    assert (cluster.nodes[1].snapshot_index, cluster.nodes[1].first_index) == (23, 1)


def test_as_many_entries_trail_as_are_asked_for() -> None:
    cluster = behind(trailing_entries=5)
    node = cluster.nodes[1]
    assert (node.snapshot_index, node.first_index, node.term(18)) == (23, 19, 2)
    cluster.propose(b"a", b"b")
    node.take_snapshot()
    assert (node.snapshot_index, node.first_index, node.last_index) == (25, 21, 25)
    assert cluster.restart(1).first_index == 26


@pytest.mark.parametrize("kind", ["chunk", "answer"])
def test_each_message_of_a_transfer_may_be_lost(kind: str) -> None:
    cluster = behind()
    lost: set[int] = set()

    def lose_once(envelope: Envelope) -> bool:
        types = {
            "chunk": MessageType.INSTALL_SNAPSHOT,
            "answer": MessageType.INSTALL_SNAPSHOT_RESPONSE,
        }
        if envelope.message.type is not types[kind] or envelope.message.last_log_index in lost:
            return True
        lost.add(envelope.message.last_log_index)
        return False

    cluster.intercept = lose_once
    cluster.tick(1, times=200)
    assert len(lost) > 5
    has_caught_up(cluster)


def test_a_receiver_that_has_lost_some_of_the_stream_gets_it_again() -> None:
    """It was restarted, and an old answer has taken the leader further than it is now."""
    cluster = behind()
    old: list[Envelope] = []

    def restart_once(envelope: Envelope) -> bool:
        if envelope.message.type is MessageType.INSTALL_SNAPSHOT_RESPONSE:
            old.append(envelope)
            if len(old) == 4:
                cluster.restart(3)
                return False
            if len(old) == 6:
                cluster.deliver(old[2])
        return True

    cluster.intercept = restart_once
    cluster.tick(1, times=40)
    assert len(old) > 8
    has_caught_up(cluster)


def test_d08_chunks_that_come_twice_are_taken_once() -> None:
    cluster = behind()
    seen: list[Envelope] = []

    def twice(envelope: Envelope) -> bool:
        if envelope.message.type is MessageType.INSTALL_SNAPSHOT:
            seen.append(envelope)
            for again in (envelope, *seen):
                cluster.deliver(again)
        return True

    cluster.intercept = twice
    has_caught_up(cluster)
    assert len(seen) > 5


def test_d08_a_chunk_is_taken_at_its_offset_only() -> None:
    cluster = behind()
    sent = chunks(cluster)
    cluster.disks[3] = Disk()
    cluster.start(3).bootstrap(cluster.peers)
    for position in (1, 0, 2, 0, 1, 3, 2):
        cluster.deliver(sent[position])
    received = [one.message.last_log_index for one in cluster.sent[-7:]]
    assert received == [0, 50, 50, 50, 100, 100, 150]


def test_d40_and_m1_a_kill_at_any_operation_of_a_transfer_loses_nothing() -> None:
    """Also D06, D07, D34: power may go as well, and the node opens again whatever is left."""
    reference = behind()
    sent = chunks(reference)
    before = Disk.of(behind().disks[3].after_kill())
    states: list[dict[str, bytes]] = []
    disk = Disk.of(before.after_kill())

    def watch(_: Operation) -> None:
        states.extend((disk.after_kill(), disk.after_power_cut()))

    config = dataclasses.replace(reference.config, node_id=3)
    node = Node(config, Journal(), WatchedFilesystem(MemoryFilesystem(disk), watch))
    for envelope in sent:
        node.step(envelope.message)
    assert node.snapshot_index == 23
    states.append(disk.after_kill())
    assert len(states) > 20
    for files in states:
        cluster = behind()
        cluster.kill(3)
        cluster.disks[3] = Disk.of(files)
        restarted = cluster.start(3)
        assert restarted.last_index in (3, 23)
        assert restarted.recovery.tail == "clean"
        has_caught_up(cluster)


@pytest.mark.parametrize("position", range(8))
def test_a_snapshot_taken_meanwhile_does_not_disturb_the_transfer(position: int) -> None:
    """H22: the stream goes on with the one that it began with, whatever had been read of it."""
    cluster = behind()
    sent: list[Envelope] = []

    def take_one_meanwhile(envelope: Envelope) -> bool:
        if envelope.message.type is MessageType.INSTALL_SNAPSHOT:
            if len(sent) == position:
                cluster.nodes[1].propose(b"meanwhile")
                cluster.collect(1)
                cluster.settle_one(2)
                cluster.nodes[1].take_snapshot()
            sent.append(envelope)
        return True

    cluster.intercept = take_one_meanwhile
    cluster.catch_up()
    cluster.catch_up()
    cluster.agree_on([b"first", *COMMANDS, b"meanwhile"])
    installed = [one.index for one in cluster.effects[3] if isinstance(one, SnapshotInstalled)]
    assert installed == [23, 24]
    assert cluster.nodes[3].dropped_messages == {}


def test_a_snapshot_taken_by_the_receiver_ends_what_was_coming_in() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a", b"b")
    part = dataclasses.replace(install(50, 2, leader_term=2), last_log_term=1000, success=False)
    cluster.deliver(Envelope(1, 3, part))
    assert "snapshot.tmp" in cluster.disks[3].names
    assert cluster.nodes[3].take_snapshot() == 4
    assert "snapshot.tmp" not in cluster.disks[3].names


def test_d21_the_entry_that_a_snapshot_ends_with_keeps_its_term() -> None:
    """A segment that ends at the snapshot's index is removed; heartbeats go on."""
    cluster = Cluster(max_segment_bytes=1)
    cluster.elect(1)
    cluster.propose(*COMMANDS)
    for node in cluster.nodes.values():
        node.take_snapshot()
        assert node.first_index == node.last_index + 1
        assert node.term(node.last_index) == 2
    cluster.tick(times=50)
    cluster.propose(b"after")
    cluster.agree_on([*COMMANDS, b"after"])


def test_a_peer_that_gets_a_snapshot_still_hears_the_leader() -> None:
    """H9: heartbeats go on, and the peer's answers count for reads and for the quorum."""
    cluster = behind()
    cluster.kill(2)
    cluster.intercept = lambda one: one.message.type is not MessageType.INSTALL_SNAPSHOT
    cluster.tick(1, 3, times=100)
    assert cluster.leaders() == [1]
    cluster.nodes[1].read_index("r")
    cluster.settle()
    assert [effect.context for effect in cluster.reads(1)] == ["r"]
