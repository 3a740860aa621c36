"""A snapshot that is sent to a peer: in chunks, which may be lost, late, doubled or mixed up."""

import dataclasses
import os
import struct
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest

from raft.config import Config
from raft.effects import ConfigurationChanged, SendMessage, SnapshotInstalled
from raft.log_entry import EntryType, LogEntry
from raft.member import DropReason
from raft.message import Message, MessageType
from raft.node import Node
from raft.peer import PeerRole, encode_peers
from raft.replication import Progress
from tests.raft.cluster import Cluster, Envelope, peer
from tests.raft.disks import Disk, MemoryFilesystem, Operation, WatchedFilesystem
from tests.raft.journal import Journal

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


def test_d09_a_late_snapshot_below_the_commit_index_changes_nothing() -> None:
    cluster = behind()
    late = chunks(cluster)
    cluster.propose(b"after")
    files = cluster.disks[3].after_kill()
    for envelope in late:
        cluster.deliver(envelope)
    node = cluster.nodes[3]
    assert (node.commit_index, node.last_index, node.snapshot_index) == (24, 24, 23)
    assert cluster.disks[3].after_kill() == files
    answer = cluster.sent[-1].message
    assert (answer.success, answer.last_log_index) == (True, late[-1].message.last_log_term)


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


def test_d06_d23_the_last_index_and_term_are_the_snapshots_also_after_a_restart() -> None:
    cluster = Cluster()
    cluster.deliver(Envelope(1, 3, install(50, 4, leader_term=5)))
    for _ in range(2):
        node = cluster.nodes[3]
        assert (node.last_index, node.term(50), node.commit_index) == (50, 4, 50)
        assert (node._storage.log.last_index, node._storage.log.last_term) == (50, 4)
        cluster.cut_power(3)
        cluster.start(3)
    cluster.deliver(Envelope(1, 3, append_entry(5, (50, 4), b"next")))
    assert (cluster.nodes[3].last_index, cluster.journals[3].commands) == (51, [b"next"])
    assert cluster.restart(3).last_index == 51


def test_d24_a_conflict_right_after_an_installed_snapshot_replaces_the_old_entry() -> None:
    cluster = Cluster()
    cluster.deliver(Envelope(1, 3, install(50, 4, leader_term=5)))
    for term, command in ((5, b"old"), (6, b"new")):
        request = dataclasses.replace(append_entry(term, (50, 4), command), commit_index=50)
        for _ in range(2):
            cluster.deliver(Envelope(1, 3, request))
            assert cluster.sent[-1].message.success
        assert (cluster.nodes[3].term(51), cluster.nodes[3].entry(51).data) == (term, command)
    assert cluster.restart(3).entry(51).data == b"new"


def test_entries_above_the_snapshot_that_agree_with_it_stay() -> None:
    """They may have been acknowledged, and no leader may have them but by this node."""
    cluster = Cluster()
    for index in range(1, 5):
        request = append_entry(2, (index, 1 if index == 1 else 2), b"%d" % index)
        cluster.deliver(Envelope(1, 3, dataclasses.replace(request, commit_index=0)))
    cluster.deliver(Envelope(1, 3, install(4, 2, leader_term=2)))
    for _ in range(2):
        node = cluster.nodes[3]
        assert (node.snapshot_index, node.commit_index, node.last_index) == (4, 4, 5)
        cluster.cut_power(3)
        cluster.start(3)


def test_entries_above_the_snapshot_that_contradict_it_go() -> None:
    cluster = Cluster()
    for index in range(1, 5):
        request = append_entry(2, (index, 1 if index == 1 else 2), b"%d" % index)
        cluster.deliver(Envelope(1, 3, dataclasses.replace(request, commit_index=0)))
    cluster.deliver(Envelope(1, 3, install(4, 3, leader_term=3)))
    for _ in range(2):
        node = cluster.nodes[3]
        assert (node.snapshot_index, node.commit_index, node.last_index) == (4, 4, 4)
        cluster.cut_power(3)
        cluster.start(3)


def test_two_leaders_streams_are_not_mixed() -> None:
    """The same index, the same size, other bytes: the state may be cut differently elsewhere."""
    cluster = behind()
    sent = chunks(cluster)
    cluster.disks[3] = Disk()
    cluster.start(3).bootstrap(cluster.peers)
    for envelope in sent[:3]:
        cluster.deliver(envelope)
    other = [
        dataclasses.replace(one, message=dataclasses.replace(one.message, term=9)) for one in sent
    ]
    cluster.deliver(other[3])
    assert cluster.sent[-1].message.last_log_index == 0
    for envelope in other:
        cluster.deliver(envelope)
    cluster.agree_on([b"first", *COMMANDS], 3)


@pytest.mark.parametrize("damage", ["header", "peers", "short", "long", "early end"])
def test_m5_a_stream_that_makes_no_sense_is_dropped_and_begun_anew(damage: str) -> None:
    cluster = behind()
    sent = [one.message for one in chunks(cluster)]
    cluster.disks[3] = Disk()
    node = cluster.start(3)
    node.bootstrap(cluster.peers)
    first, last = sent[0], sent[-1]
    damaged = {
        "header": [dataclasses.replace(first, data=b"\xff" + first.data[1:])],
        "peers": [dataclasses.replace(first, data=first.data[:16] + b"\xff" * 4 + first.data[20:])],
        "short": [*sent[:-1], dataclasses.replace(last, data=last.data[:-1])],
        "long": [*sent[:-1], dataclasses.replace(last, data=last.data + b"x")],
        "early end": [dataclasses.replace(first, success=True)],
    }[damage]
    for message in damaged:
        cluster.deliver(Envelope(1, 3, message))
    assert node.dropped_messages == {DropReason.MALFORMED: 1}
    assert (node.last_index, node.snapshot_index) == (1, 0)
    assert "snapshot.tmp" not in cluster.disks[3].names
    for message in sent:
        cluster.deliver(Envelope(1, 3, message))
    cluster.agree_on([b"first", *COMMANDS], 3)


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


@pytest.mark.parametrize(
    ("term", "role"), [(3, PeerRole.VOTER), (0, PeerRole.VOTER), (2, PeerRole.LEARNER)]
)
def test_a_snapshot_that_no_leader_could_have_is_dropped(term: int, role: PeerRole) -> None:
    cluster = Cluster()
    peers = encode_peers([peer(3, role)])
    stream = struct.pack("<QQI", 50, term, len(peers)) + peers
    message = install(50, term, leader_term=2)
    message = dataclasses.replace(message, data=stream, last_log_term=len(stream))
    cluster.deliver(Envelope(1, 3, message))
    assert cluster.nodes[3].dropped_messages == {DropReason.MALFORMED: 1}
    assert cluster.nodes[3].snapshot_index == 0


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


def test_a_node_that_is_closed_in_the_middle_of_a_transfer_keeps_no_file_open(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    before = os.listdir("/proc/self/fd")
    cluster = behind()
    first = chunks(cluster)[:2]
    directory = tmp_path_factory.mktemp("receiver")
    receiver = Node(dataclasses.replace(cluster.config, node_id=3), Journal(), directory)
    for envelope in first:
        receiver.step(envelope.message)
    assert "snapshot.tmp" in os.listdir(directory)
    receiver.close()
    assert os.listdir("/proc/self/fd") == before
    directory = tmp_path_factory.mktemp("sender")
    config = dataclasses.replace(cluster.config, node_id=1, snapshot_chunk_bytes=1)
    sender = Node(config, Journal(), directory)
    sender.bootstrap([peer(1)])
    for _ in range(20):
        sender.tick()
    sender.propose(bytes(100))
    sender.take_snapshot()
    sender.add_peer(peer(2))
    answer = Message(7, MessageType.APPEND_ENTRIES_RESPONSE, 2, sender.current_term)
    sender.step(answer)
    assert MessageType.INSTALL_SNAPSHOT in [
        effect.message.type for effect in sender.take_effects() if isinstance(effect, SendMessage)
    ]
    sender.close()
    assert os.listdir("/proc/self/fd") == before


class Large:
    """A state of `count` mebibytes, of which it never has two in memory."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.restored = 0

    def apply(self, _index: int, _command: bytes) -> None:
        pass

    def snapshot(self) -> Iterable[bytes]:
        for number in range(self.count):
            yield bytes([number]) * 2**20

    def restore(self, chunks: Iterator[bytes]) -> None:
        self.restored = sum(len(chunk) for chunk in chunks)


def test_a_transfer_takes_the_memory_of_a_few_chunks(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    config = Config(node_id=1, group_id=7, random_seed=5, trailing_entries=0)
    peers = [peer(1), peer(2)]
    nodes = {}
    machines = {1: Large(24), 2: Large(0)}
    for node_id, machine in machines.items():
        directory = tmp_path_factory.mktemp(f"node{node_id}")
        node = Node(dataclasses.replace(config, node_id=node_id), machine, directory)
        nodes[node_id] = node
    nodes[1].bootstrap(peers)

    def settle() -> None:
        moved = True
        while moved:
            moved = False
            for node in nodes.values():
                for effect in node.take_effects():
                    if isinstance(effect, SendMessage):
                        nodes[effect.receiver].step(effect.message)
                        moved = True

    nodes[2].bootstrap(peers)
    for _ in range(100):
        nodes[1].tick()
        settle()
    assert nodes[1].is_leader
    nodes[2].close()
    nodes[1].take_snapshot()
    nodes[1].take_effects()
    fresh = tmp_path_factory.mktemp("fresh")
    nodes[2] = Node(dataclasses.replace(config, node_id=2), machines[2], fresh)
    tracemalloc.start()
    try:
        leader = nodes[1]._member.leader
        assert leader is not None
        leader.replication.peers[2] = Progress(1)
        for _ in range(10):
            nodes[1].tick()
            settle()
        assert machines[2].restored == 24 * 2**20
        assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
    finally:
        tracemalloc.stop()
        for node in nodes.values():
            node.close()
