"""Members that come, are promoted and go: one change at a time, in effect when stored."""

import dataclasses
from collections.abc import Callable

import pytest

from raft.effects import ConfigurationChanged
from raft.election import Role
from raft.errors import ChangePendingError, MembershipError, NotLeaderError
from raft.log_entry import EntryType, LogEntry
from raft.message import Message, MessageType
from raft.node import Node
from raft.peer import PeerRole, encode_peers
from tests.raft.cluster import Cluster, Envelope, peer


def voters(cluster: Cluster, node_id: int = 1) -> list[int]:
    peers = cluster.nodes[node_id].peers
    return [one.id for one in peers if one.role is PeerRole.VOTER]


def learners(cluster: Cluster, node_id: int = 1) -> list[int]:
    peers = cluster.nodes[node_id].peers
    return [one.id for one in peers if one.role is PeerRole.LEARNER]


def test_a_new_node_learns_catches_up_and_becomes_a_voter_c14() -> None:
    cluster = Cluster()
    cluster.elect(1)
    commands = [b"%d" % n for n in range(10)]
    cluster.propose(*commands)
    cluster.start(4)
    index = cluster.leader.add_peer(peer(4))
    assert (learners(cluster), voters(cluster)) == ([4], [1, 2, 3])
    cluster.catch_up()
    for node_id in cluster.nodes:
        assert voters(cluster, node_id) == [1, 2, 3, 4]
        assert cluster.nodes[node_id].is_complete
    cluster.agree_on(commands)
    as_learner = (*cluster.peers, peer(4, PeerRole.LEARNER))
    assert ConfigurationChanged(index, as_learner, committed=True) in cluster.effects[1]
    cluster.elect(4)


def test_a_new_node_may_need_the_snapshot() -> None:
    cluster = Cluster()
    cluster.elect(1)
    commands = [b"%d" % n for n in range(10)]
    cluster.propose(*commands)
    cluster.leader.take_snapshot()
    cluster.start(4)
    cluster.leader.add_peer(peer(4))
    cluster.catch_up()
    assert voters(cluster, 4) == [1, 2, 3, 4]
    assert cluster.nodes[4].is_complete
    cluster.agree_on(commands)


def test_a_learner_is_not_promoted_before_it_has_caught_up() -> None:
    """It answers every heartbeat, and lacks the last entry that is committed."""
    cluster = Cluster(max_append_entries_bytes=1)
    cluster.elect(1)
    cluster.propose(b"a")
    last = cluster.leader.last_index + 1

    def keep_the_last_entry_back(envelope: Envelope) -> bool:
        entries = envelope.message.data and envelope.message.entries()
        return envelope.receiver != 4 or last not in [entry.index for entry in entries or ()]

    cluster.intercept = keep_the_last_entry_back
    cluster.start(4)
    assert cluster.leader.add_peer(peer(4)) == last
    cluster.tick(1, times=30)
    assert cluster.nodes[4].last_index == last - 1
    assert (learners(cluster), voters(cluster)) == ([4], [1, 2, 3])
    cluster.intercept = lambda _: True
    cluster.catch_up()
    assert voters(cluster) == [1, 2, 3, 4]


def test_a_learner_is_promoted_though_answers_are_lost() -> None:
    """H24."""
    cluster = Cluster()
    cluster.elect(1)
    cluster.start(4)
    cluster.leader.add_peer(peer(4))
    cluster.cut.add((4, 1))
    cluster.catch_up()
    assert learners(cluster) == [4]
    cluster.heal()
    cluster.catch_up()
    assert voters(cluster, 4) == [1, 2, 3, 4]


def test_promotion_may_be_left_to_the_caller() -> None:
    cluster = Cluster(promote_learners=False)
    cluster.elect(1)
    cluster.start(4)
    cluster.leader.add_peer(peer(4))
    cluster.catch_up()
    assert learners(cluster) == [4]
    cluster.leader.promote(4)
    cluster.catch_up()
    assert voters(cluster, 4) == [1, 2, 3, 4]


def test_a_removed_node_is_told_and_campaigns_no_more_c19() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a")
    index = cluster.leader.remove_peer(3)
    cluster.settle()
    node = cluster.nodes[3]
    assert [one.id for one in node.peers] == [1, 2]
    assert (node.commit_index, node.last_index) == (index, index)
    cluster.sent.clear()
    cluster.tick(3, times=200)
    assert (node.role, cluster.sent) == (Role.FOLLOWER, [])
    assert node.entry(3).data == b"a"
    cluster.propose(b"b")
    cluster.agree_on([b"a", b"b"], 1, 2)
    assert cluster.leader.next_index(3) is None


def test_a_removed_node_that_was_not_told_disturbs_nobody_c25() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.isolate(3)
    cluster.leader.remove_peer(3)
    cluster.settle()
    cluster.heal()
    cluster.tick(times=200)
    assert (cluster.leaders(), cluster.leader.current_term) == ([1], 2)


def test_a_removed_node_disturbs_nobody_without_pre_votes_either_c25() -> None:
    """Node 2 has not been told either: it takes node 3 for a member, and follows the leader."""
    cluster = Cluster(4, pre_vote=False)
    cluster.elect(1)
    cluster.isolate(3)
    cluster.intercept = lambda one: one.receiver != 2 or not one.message.entries_count
    cluster.leader.remove_peer(3)
    cluster.settle()
    cluster.heal()
    for _ in range(200):
        cluster.tick(1)
        cluster.tick(3)
    assert cluster.nodes[3].current_term > 2
    assert 3 in [one.id for one in cluster.nodes[2].peers]
    assert (cluster.leaders(), cluster.nodes[2].current_term) == ([1], 2)


@pytest.mark.parametrize("kind", [MessageType.REQUEST_VOTE, MessageType.PRE_VOTE])
def test_who_was_removed_by_a_committed_change_is_refused_its_vote_c25(kind: MessageType) -> None:
    cluster = Cluster()
    cluster.elect(1)
    removed_at = cluster.leader.remove_peer(3)
    cluster.settle()
    cluster.propose(b"a")
    assert cluster.nodes[2].commit_index > removed_at
    cluster.forget_leader(2)
    request = Message(7, kind, 3, 50, last_log_index=99, last_log_term=49)
    cluster.deliver(Envelope(3, 2, request))
    answer = cluster.sent[-1]
    assert (answer.receiver, answer.message.success, answer.message.term) == (3, False, 2)
    assert cluster.nodes[2].current_term == 2


def test_a_group_shrinks_to_one_and_grows_again() -> None:
    cluster = Cluster()
    cluster.elect(1)
    for node_id in (3, 2):
        cluster.leader.remove_peer(node_id)
        cluster.settle()
        cluster.kill(node_id)
    assert voters(cluster) == [1]
    cluster.propose(b"alone")
    for node_id in (2, 3):
        cluster.restart(node_id)
        cluster.leader.add_peer(peer(node_id))
        cluster.catch_up()
    assert voters(cluster, 3) == [1, 2, 3]
    cluster.agree_on([b"alone"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda node: node.add_peer(peer(2)), "peer 2 is a member already"),
        (lambda node: node.promote(2), "peer 2 is no learner"),
        (lambda node: node.promote(9), "peer 9 is no learner"),
        (lambda node: node.remove_peer(9), "peer 9 is no member"),
        (lambda node: node.remove_peer(1), "a leader does not remove itself"),
    ],
)
def test_changes_that_make_no_sense_are_refused_c26(
    change: Callable[[Node], int], reason: str
) -> None:
    cluster = Cluster()
    leader = cluster.elect(1)
    before = leader.last_index
    with pytest.raises(MembershipError, match=reason):
        change(leader)
    assert leader.last_index == before
    with pytest.raises(NotLeaderError):
        change(cluster.nodes[3])


def test_the_last_voter_stays_c26() -> None:
    cluster = Cluster(1, learners=1, promote_learners=False)
    leader = cluster.elect(1)
    with pytest.raises(MembershipError, match="peer 1 is the last voter"):
        leader.remove_peer(1)


# One change at a time.


def test_one_change_at_a_time_c16_d13() -> None:
    cluster = Cluster()
    leader = cluster.elect(1)
    cluster.isolate(1)
    leader.remove_peer(3)
    with pytest.raises(ChangePendingError):
        leader.remove_peer(2)
    with pytest.raises(ChangePendingError):
        leader.add_peer(peer(4))
    cluster.heal()
    cluster.catch_up()
    leader.add_peer(peer(4))


def test_d13_a_configuration_of_an_earlier_leader_counts_as_a_change() -> None:
    cluster = Cluster(5)
    cluster.elect(1)
    cluster.isolate(1, 2)
    cluster.nodes[1].remove_peer(5)
    cluster.settle()
    assert voters(cluster, 2) == [1, 2, 3, 4]
    cluster.kill(1)
    cluster.heal()
    cluster.intercept = lambda one: one.message.type is not MessageType.APPEND_ENTRIES
    node = cluster.elect(2)
    with pytest.raises(ChangePendingError):
        node.remove_peer(4)
    cluster.intercept = lambda _: True
    cluster.catch_up()
    node.remove_peer(1)
    cluster.settle()
    assert voters(cluster, 2) == [2, 3, 4]


def test_d13_no_change_before_an_own_entry_is_committed() -> None:
    """The bug of 2015: the leader may lack an earlier one's change that it would race with."""
    cluster = Cluster(4)
    cluster.intercept = lambda one: one.message.type is not MessageType.APPEND_ENTRIES
    node = cluster.elect(1)
    cluster.nodes[1]._replica.commit(1)
    assert node.commit_index == 1 < node.last_index
    with pytest.raises(ChangePendingError):
        node.remove_peer(4)


# In effect when stored, until truncated; recovered from log and snapshot alone.


def test_d12_a_truncated_configuration_is_rolled_back() -> None:
    cluster = Cluster(5)
    cluster.elect(1)
    cluster.isolate(1, 2)
    index = cluster.nodes[1].remove_peer(5)
    cluster.settle()
    assert voters(cluster, 2) == voters(cluster, 1) == [1, 2, 3, 4]
    cluster.elect(3)
    cluster.propose(b"other")
    cluster.heal()
    cluster.catch_up()
    for node_id in (1, 2):
        assert cluster.nodes[node_id].entry(index).type is not EntryType.CONFIGURATION
        assert voters(cluster, node_id) == [1, 2, 3, 4, 5]
        assert ConfigurationChanged(1, cluster.peers, committed=True) in cluster.effects[node_id]
    cluster.restart(2)
    assert voters(cluster, 2) == [1, 2, 3, 4, 5]


def test_a_quorum_is_one_of_the_configuration_that_was_stored_c17() -> None:
    """Four voters need three: not committed by the two that three needed."""
    cluster = Cluster(3, learners=1, promote_learners=False)
    cluster.elect(1)
    cluster.catch_up()
    cluster.isolate(1, 2)
    index = cluster.nodes[1].promote(4)
    cluster.settle()
    assert cluster.nodes[1].match_index(2) == index
    assert cluster.nodes[1].commit_index < index
    cluster.heal()
    cluster.catch_up()
    assert cluster.nodes[1].commit_index == index


def test_d38_the_configuration_is_recovered_from_log_and_snapshot() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.leader.remove_peer(3)
    cluster.settle()
    for _ in range(2):
        for node_id in (1, 2):
            cluster.cut_power(node_id)
            cluster.start(node_id)
            assert voters(cluster, node_id) == [1, 2]
        cluster.elect(1)
        cluster.propose(b"a")
        for node_id in (1, 2):
            cluster.nodes[node_id].take_snapshot()


def test_d39_a_snapshot_carries_what_is_committed() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a")
    cluster.isolate(1)
    cluster.nodes[1].remove_peer(3)
    cluster.nodes[1].take_snapshot()
    assert voters(cluster, 1) == [1, 2]
    storage = cluster.nodes[1]._storage
    assert storage.snapshot is not None
    assert [one.id for one in storage.snapshot.peers] == [1, 2, 3]
    cluster.restart(1)
    assert voters(cluster, 1) == [1, 2]
    cluster.elect(2)
    cluster.propose(b"b")
    cluster.heal()
    cluster.catch_up()
    assert voters(cluster, 1) == [1, 2, 3]
    cluster.agree_on([b"a", b"b"])


def test_d41_a_node_that_is_removed_and_added_again_does_not_vote_twice() -> None:
    cluster = Cluster()
    cluster.elect(1)
    vote = Message(7, MessageType.REQUEST_VOTE, 2, 9, last_log_index=9, last_log_term=9)
    cluster.forget_leader(3)
    cluster.deliver(Envelope(2, 3, vote))
    granted = cluster.sent[-1].message.success
    for index, peers in ((3, cluster.peers[:2]), (4, cluster.peers)):
        entry = LogEntry(9, index, EntryType.CONFIGURATION, encode_peers(peers))
        request = Message(
            7,
            MessageType.APPEND_ENTRIES,
            2,
            9,
            prev_log_index=index - 1,
            prev_log_term=2 if index == 3 else 9,
            commit_index=index,
            entries_count=1,
            data=entry.encode(),
        )
        cluster.deliver(Envelope(2, 3, request))
        cluster.restart(3)
    assert voters(cluster, 3) == [1, 2, 3]
    cluster.deliver(Envelope(1, 3, dataclasses.replace(vote, sender=1)))
    assert (granted, cluster.sent[-1].message.success) == (True, False)
    assert cluster.nodes[3].voted_for == 2


def test_a_learner_that_was_promoted_unawares_votes() -> None:
    """Without its vote the two that know of the promotion could be one short."""
    cluster = Cluster(2, learners=1, promote_learners=False)
    cluster.elect(1)
    cluster.catch_up()
    cluster.isolate(3)
    cluster.nodes[1].promote(3)
    cluster.settle()
    assert voters(cluster, 2) == [1, 2, 3]
    cluster.kill(1)
    cluster.heal()
    cluster.elect(2)
    cluster.catch_up()
    assert voters(cluster, 3) == [1, 2, 3]


def test_who_hold_different_changes_elect_a_leader_though_one_takes_it_for_a_stranger() -> None:
    """Nodes 1 and 3 have each removed a node, and neither removal is committed.

    Node 1 needs the vote of node 3, which has removed it; node 3 needs that of node 2, whose log is
    newer; and node 2 does not campaign, since its log says that it is removed.
    """
    cluster = Cluster()
    cluster.elect(3)
    cluster.isolate(3)
    cluster.nodes[3].remove_peer(1)
    cluster.elect(1)
    cluster.nodes[1].remove_peer(2)
    cluster.settle()
    cluster.isolate(1)
    cluster.tick(times=2 * cluster.config.election_timeout_ticks_max)
    assert cluster.leaders() == []
    assert [voters(cluster, node_id) for node_id in (1, 2, 3)] == [[1, 3], [1, 3], [2, 3]]
    cluster.heal()
    cluster.tick(times=10 * cluster.config.election_timeout_ticks_max)
    assert len(cluster.leaders()) == 1
    assert [voters(cluster, node_id) for node_id in (1, 3)] == [[1, 3], [1, 3]]
    assert cluster.nodes[3].commit_index == cluster.leader.last_index
