"""Reads that see every write acknowledged before they were asked for, or are not answered."""

import dataclasses
from collections.abc import Collection

import pytest

from raft.effects import ReadAborted, ReadReady
from raft.errors import NotLeaderError
from raft.message import Message, MessageType
from raft.read_index import Read, ReadIndex
from tests.raft.cluster import Cluster, Envelope
from tests.raft.disks import Disk
from tests.raft.journal import leader as single_leader


def test_a_read_is_answered_at_the_commit_index() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a")
    cluster.leader.read_index("r")
    assert cluster.reads(1) == []
    cluster.settle()
    assert cluster.reads(1) == [ReadReady("r", 3)]
    assert cluster.leader.last_applied >= 3


def test_a_single_voter_answers_at_once() -> None:
    node, _ = single_leader(Disk())
    node.take_effects()
    node.read_index("r")
    assert node.take_effects() == [ReadReady("r", 2)]


def test_only_the_leader_is_asked() -> None:
    cluster = Cluster()
    cluster.elect(1)
    with pytest.raises(NotLeaderError, match="node 1"):
        cluster.nodes[2].read_index("r")


def test_d11_no_read_is_answered_before_an_own_entry_is_committed() -> None:
    """The new leader does not know yet that "a" was committed and acknowledged."""
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a")
    cluster.leader.propose(b"b")
    cluster.intercept = lambda one: one.receiver != 1
    cluster.settle()
    cluster.intercept = lambda one: not one.message.entries_count
    cluster.isolate(1)
    cluster.elect(2)
    node = cluster.nodes[2]
    assert node.commit_index < node.last_index
    node.read_index("r")
    cluster.tick(2, times=10)
    assert cluster.reads(2) == []
    cluster.intercept = lambda _: True
    cluster.catch_up()
    assert cluster.reads(2) == [ReadReady("r", node.last_index)]


def test_d11_answers_to_heartbeats_from_before_the_read_do_not_count() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.tick(1, times=2)
    for peer_id in (2, 3):
        cluster.nodes[1].tick()
        cluster.nodes[1].tick()
        cluster.collect(1)
        for envelope in cluster.take(MessageType.APPEND_ENTRIES, peer_id):
            cluster.deliver(envelope)
    early = cluster.take(MessageType.APPEND_ENTRIES_RESPONSE)
    assert len(early) >= 2
    cluster.network.clear()
    cluster.nodes[1].read_index("r")
    cluster.collect(1)
    for envelope in early * 3:
        cluster.deliver(envelope)
    assert cluster.reads(1) == []
    cluster.settle()
    assert cluster.reads(1) == [ReadReady("r", 2)]


def test_d48_a_leader_that_was_deposed_unawares_answers_nothing() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a")
    cluster.isolate(1)
    cluster.elect(2)
    cluster.propose(b"b")
    cluster.nodes[1].read_index("r")
    cluster.tick(1, times=5)
    assert (cluster.nodes[1].is_leader, cluster.reads(1)) == (True, [])
    cluster.heal()
    cluster.tick(1, times=5)
    assert cluster.reads(1) == [ReadAborted("r")]


def test_one_answer_is_no_quorum_however_often_it_comes() -> None:
    cluster = Cluster(5)
    cluster.elect(1)
    cluster.isolate(1, 2)
    cluster.nodes[1].read_index("r")
    for _ in range(10):
        cluster.tick(1)
    assert cluster.reads(1) == []


def test_a_learner_says_nothing_of_who_leads() -> None:
    cluster = Cluster(3, learners=2, promote_learners=False)
    cluster.elect(1)
    cluster.isolate(1, 4, 5)
    cluster.nodes[1].read_index("r")
    cluster.tick(1, times=10)
    assert cluster.reads(1) == []


def test_a_peer_that_does_not_echo_never_counts() -> None:
    cluster = Cluster()
    cluster.elect(1)

    def strip(envelope: Envelope) -> bool:
        message = envelope.message
        if message.type is MessageType.APPEND_ENTRIES_RESPONSE and message.prev_log_index:
            silent = dataclasses.replace(message, prev_log_index=0)
            cluster.deliver(dataclasses.replace(envelope, message=silent))
            return False
        return True

    cluster.intercept = strip
    cluster.propose(b"a")
    cluster.agree_on([b"a"])
    cluster.nodes[1].read_index("r")
    cluster.tick(1, times=30)
    assert (cluster.reads(1), cluster.leaders()) == ([], [1])


def test_a_round_that_has_not_begun_is_not_echoed() -> None:
    cluster = Cluster()
    cluster.elect(1)
    for peer_id in (2, 3):
        claim = Message(
            7, MessageType.APPEND_ENTRIES_RESPONSE, peer_id, 2, prev_log_index=2**63, success=True
        )
        cluster.deliver(Envelope(peer_id, 1, claim))
    cluster.isolate(1)
    cluster.nodes[1].read_index("r")
    cluster.settle()
    assert cluster.reads(1) == []


def test_reads_asked_for_meanwhile_share_the_next_round() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.sent.clear()
    for number in range(10):
        cluster.nodes[1].read_index(number)
    cluster.settle()
    assert cluster.reads(1) == [ReadReady(number, 2) for number in range(10)]
    assert len(cluster.sent) == 2 * 2 * 2


def test_a_lost_round_is_asked_again_by_the_next_heartbeat() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.nodes[1].read_index("r")
    cluster.collect(1)
    cluster.network.clear()
    cluster.tick(1, times=3)
    assert cluster.reads(1) == [ReadReady("r", 2)]


def test_every_read_is_answered_or_aborted_when_the_leader_steps_down() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.isolate(1)
    for number in range(3):
        cluster.nodes[1].read_index(number)
    cluster.tick(1, times=60)
    assert cluster.reads(1) == [ReadAborted(number) for number in range(3)]


def test_rounds_by_themselves() -> None:
    """The quorum is node 1 and one of the others."""

    def is_quorum(node_ids: Collection[int]) -> bool:
        return len(node_ids) > 1

    reads = ReadIndex(1)
    assert reads.ask(Read("a", 5))
    reads.acknowledge(2, reads.round)
    assert reads.answered(is_quorum) == []
    reads.begin_round()
    assert not reads.ask(Read("b", 6))
    reads.begin_round()
    reads.acknowledge(2, reads.round - 1)
    assert reads.answered(is_quorum) == [Read("a", 5)]
    still_asking = reads.is_asking
    assert still_asking
    reads.acknowledge(3, reads.round)
    reads.acknowledge(2, reads.round - 1)
    assert reads.answered(is_quorum) == []
    reads.acknowledge(3, reads.round + 1)
    assert reads.answered(is_quorum) == []
    reads.begin_round()
    reads.acknowledge(3, reads.round)
    assert reads.answered(is_quorum) == [Read("b", 6)]
    assert not reads.is_asking
    reads.ask(Read("c", 7))
    reads.ask(Read("d", 8))
    assert reads.abort() == [Read("c", 7), Read("d", 8)]
