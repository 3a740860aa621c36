"""What a receiver makes of a leader's snapshot: its log afterwards, and what it does not take."""

import dataclasses
import struct

import pytest

from raft.member import DropReason
from raft.peer import PeerRole, encode_peers
from tests.raft.cluster import Cluster, Envelope, peer
from tests.raft.disks import Disk
from tests.raft.snapshots_on_their_way import (
    COMMANDS,
    append_entry,
    behind,
    chunks,
    install,
)


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
