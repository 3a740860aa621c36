"""A node that has lost what it acknowledged: it votes for nobody until a leader has replaced it."""

import dataclasses

import pytest

from raft.election import Role
from raft.errors import CorruptionError, DiskError, StoppedError
from raft.message import Message, MessageType
from raft.metadata import INCOMPLETE, Metadata
from raft.node import Node
from raft.peer import PeerRole
from raft.segment import segment_name
from tests.raft.cluster import Cluster, Envelope, peer
from tests.raft.disks import Disk, MemoryFilesystem, Operation, WatchedFilesystem
from tests.raft.journal import Journal

COMMANDS = [b"command %d" % n for n in range(12)]


def working(**settings: bool) -> Cluster:
    """Three nodes that have committed the commands; node 3's last batch is known to be durable."""
    cluster = Cluster(max_segment_bytes=150, **settings)
    cluster.elect(1)
    cluster.propose(*COMMANDS)
    cluster.nodes[3].close()
    cluster.kill(3)
    return cluster


def rot(cluster: Cluster, name: str, offset: int = -1) -> None:
    """Flip a bit of node 3's file."""
    files = cluster.disks[3].after_kill()
    data = bytearray(files[name])
    data[offset] ^= 1
    cluster.disks[3] = Disk.of({**files, name: bytes(data)})


def remove(cluster: Cluster, *names: str) -> None:
    """Lose files of node 3."""
    files = cluster.disks[3].after_kill()
    cluster.disks[3] = Disk.of({name: files[name] for name in files.keys() - set(names)})


def segments(cluster: Cluster) -> list[str]:
    return sorted(name for name in cluster.disks[3].names if name.endswith(".segment"))


def ask(cluster: Cluster, kind: MessageType, term: int) -> bool:
    """Ask node 3, as node 2, for its vote; the log it is asked for ends with entry 1."""
    request = Message(7, kind, 2, term, last_log_index=99, last_log_term=term)
    cluster.forget_leader(3)
    cluster.deliver(Envelope(2, 3, request))
    return cluster.sent[-1].message.success


def test_d44_a_damaged_log_is_refused_unless_it_is_to_be_repaired() -> None:
    cluster = working()
    rot(cluster, segments(cluster)[1])
    files = cluster.disks[3].after_kill()
    with pytest.raises(CorruptionError):
        cluster.start(3)
    assert cluster.disks[3].after_kill() == files


@pytest.mark.parametrize("where", ["first", "middle", "last", "gone", "snapshot", "empty"])
def test_d44_it_votes_for_nobody_until_a_leader_has_repaired_it(where: str) -> None:
    cluster = working(repair_from_peers=True)
    if where == "snapshot":
        cluster.restart(3)
        cluster.catch_up()
        cluster.nodes[3].take_snapshot()
        cluster.propose(b"after")
        cluster.nodes[3].close()
        cluster.kill(3)
        rot(cluster, "snapshot")
    elif where == "gone":
        remove(cluster, segments(cluster)[1])
    elif where == "empty":
        remove(cluster, *segments(cluster))
    else:
        rot(cluster, segments(cluster)[{"first": 0, "middle": 1, "last": -1}[where]])
    cluster.cut = {(1, 3), (3, 1)}
    node = cluster.start(3)
    assert node.recovery.tail == "corrupt"
    assert node.recovery.reason
    assert not node.is_complete
    assert node.last_index < cluster.nodes[1].last_index
    term = node.current_term
    for later in (1, 2):
        assert not ask(cluster, MessageType.PRE_VOTE, term + later)
        assert not ask(cluster, MessageType.REQUEST_VOTE, term + later)
    for _ in range(100):
        node.tick()
    assert node.role is Role.FOLLOWER
    cluster.heal()
    cluster.network.clear()
    cluster.tick(1, 2, times=100)
    cluster.catch_up()
    cluster.propose(b"more")
    expected = [*COMMANDS, b"after", b"more"] if where == "snapshot" else [*COMMANDS, b"more"]
    cluster.agree_on(expected)
    assert (node.is_complete, ask(cluster, MessageType.REQUEST_VOTE, 50)) == (True, True)
    assert cluster.restart(3).recovery.tail == "clean"


def test_d44_what_it_lost_stays_lost_across_restarts_and_crashes() -> None:
    """At every operation of the repair; power may go, and the repair be left to later."""
    cluster = working(repair_from_peers=True)
    rot(cluster, segments(cluster)[1])
    disk = cluster.disks[3]
    states: list[dict[str, bytes]] = []

    def watch(_: Operation) -> None:
        states.extend((disk.after_kill(), disk.after_power_cut()))

    config = dataclasses.replace(cluster.config, node_id=3)
    Node(config, Journal(), WatchedFilesystem(MemoryFilesystem(disk), watch))
    states.append(disk.after_kill())
    assert len(states) > 10
    for files in states:
        node = Node(config, Journal(), MemoryFilesystem(Disk.of(files)))
        assert not node.is_complete
        assert node.last_index < 14
        again = Disk.of(files)
        timid = dataclasses.replace(config, repair_from_peers=False)
        try:
            node = Node(timid, Journal(), MemoryFilesystem(again))
        except CorruptionError:
            temporary = {"metadata.tmp": files.get("metadata.tmp")}
            assert {**temporary, **again.after_kill()} == {**temporary, **files}
        else:
            assert not node.is_complete


def test_p20_a_leader_of_the_term_of_the_loss_repairs_nothing() -> None:
    """What it had sent before may be on its way still, and end below what was acknowledged."""
    cluster = working(repair_from_peers=True)
    rot(cluster, segments(cluster)[1])
    before = Metadata.read(MemoryFilesystem(cluster.disks[3])).current_term
    late = [
        one
        for one in cluster.sent
        if one.receiver == 3 and one.message.type is MessageType.APPEND_ENTRIES
    ]
    node = cluster.start(3)
    assert node.current_term == before + 1
    last_index = node.last_index
    for envelope in late:
        cluster.deliver(envelope)
    assert (node.last_index, node.is_complete) == (last_index, False)


def test_a_damaged_metadata_file_is_not_repaired() -> None:
    """Nobody else knows whom this node has voted for."""
    cluster = working(repair_from_peers=True)
    rot(cluster, "metadata")
    with pytest.raises(CorruptionError):
        cluster.start(3)


# A node without a disk.


def test_d45_an_empty_disk_under_a_known_id_votes_for_nobody() -> None:
    """Node 3 helped to commit; with its vote, node 2, which has nothing of it, would lead."""
    cluster = Cluster()
    cluster.elect(1)
    cluster.kill(2)
    cluster.propose(*COMMANDS)
    cluster.kill(3)
    cluster.disks[3] = Disk()
    cluster.start(3)
    cluster.kill(1)
    cluster.start(2)
    cluster.tick(times=200)
    assert cluster.leaders() == []
    cluster.start(1)
    cluster.tick(times=200)
    cluster.agree_on(COMMANDS)


def test_d45_nor_does_it_while_it_is_being_caught_up() -> None:
    cluster = Cluster(max_append_entries_bytes=1)
    cluster.elect(1)
    cluster.propose(*COMMANDS)
    cluster.kill(3)
    cluster.disks[3] = Disk()
    cluster.start(3)
    cluster.intercept = lambda one: one.receiver != 3 or cluster.nodes[3].last_index < 5
    cluster.tick(1, times=8)
    for _ in range(2):
        node = cluster.nodes[3]
        assert (node.last_index, node.peers, node.is_complete) == (5, cluster.peers, False)
        assert Metadata.read(MemoryFilesystem(cluster.disks[3])).durable_index == INCOMPLETE
        assert not ask(cluster, MessageType.REQUEST_VOTE, 50)
        cluster.cut_power(3)
        cluster.start(3)
    cluster.intercept = lambda _: True
    cluster.tick(times=200)
    assert cluster.nodes[3].is_complete
    cluster.agree_on(COMMANDS)


def test_a_new_member_is_complete_once_it_holds_what_is_committed() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(*COMMANDS)
    cluster.start(4)
    cluster.leader.add_peer(peer(4))
    cluster.catch_up()
    assert cluster.nodes[4].is_complete
    assert peer(4, PeerRole.VOTER) in cluster.nodes[4].peers
    cluster.kill(1)
    cluster.kill(2)
    cluster.tick(times=100)
    assert cluster.leaders() == []
    cluster.start(2)
    cluster.tick(times=100)
    assert len(cluster.leaders()) == 1


# A disk that fails.


@pytest.mark.parametrize("node_id", [1, 2])
@pytest.mark.parametrize("verb", ["append", "sync"])
def test_d16_d43_a_disk_that_fails_stops_its_node_and_the_others_go_on(
    node_id: int, verb: str
) -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a")
    broken = cluster.nodes[node_id]

    def fail(operation: Operation) -> None:
        if operation.verb == verb:
            raise DiskError("input/output error")

    cluster.nodes[node_id]._storage.log._file = WatchedFilesystem(
        MemoryFilesystem(cluster.disks[node_id]), fail
    ).open(segments_of(cluster, node_id)[-1])
    match_index = cluster.nodes[1].match_index(2)
    with pytest.raises(DiskError):
        cluster.propose(b"b")
    for attempt in range(3):
        with pytest.raises(StoppedError):
            broken.tick()
        assert attempt in range(3)
    assert cluster.nodes[1].match_index(2) == match_index
    cluster.kill(node_id)
    cluster.tick(times=100)
    cluster.propose(b"c")
    cluster.restart(node_id)
    cluster.catch_up()
    lost = [b"a", b"c"]
    kept = [b"a", b"b", b"c"]
    assert cluster.journals[2].commands in (lost, kept)
    cluster.agree_on(cluster.journals[2].commands)


def segments_of(cluster: Cluster, node_id: int) -> list[str]:
    return sorted(name for name in cluster.disks[node_id].names if name.endswith(".segment"))


def test_a_rotten_last_entry_that_was_acknowledged_is_ambiguous_and_loses_no_commit() -> None:
    """The entry before it is known to be durable, it is not: the node may have died in writing."""
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a")
    cluster.kill(3)
    rot(cluster, segment_name(1))
    node = cluster.start(3)
    assert node.recovery.tail == "ambiguous"
    cluster.catch_up()
    cluster.agree_on([b"a"])
