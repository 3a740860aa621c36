"""Handing leadership to another voter."""

import pytest

from raft.effects import RoleChanged
from raft.election import Role
from raft.errors import MembershipError, NotLeaderError, TransferPendingError
from raft.member import DropReason
from raft.message import Message, MessageType
from tests.raft.cluster import Cluster, Envelope


def test_the_target_leads_and_nothing_is_lost() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a")
    cluster.leader.transfer_leadership(3)
    cluster.settle()
    assert (cluster.leaders(), cluster.leader.current_term) == ([3], 3)
    assert cluster.effects[3][-3:].count(RoleChanged(Role.PRE_CANDIDATE, 2)) == 0
    cluster.propose(b"b")
    cluster.agree_on([b"a", b"b"])


def test_the_target_gets_the_whole_log_first() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.kill(3)
    cluster.propose(*[b"%d" % n for n in range(30)])
    cluster.restart(3)
    cluster.sent.clear()
    cluster.leader.transfer_leadership(3)
    cluster.catch_up()
    assert cluster.leaders() == [3]
    cluster.agree_on([b"%d" % n for n in range(30)])


def test_d23_a_target_that_was_sent_a_snapshot_leads() -> None:
    """Its last term is the snapshot's: with 0 nobody would vote for it, and nobody would lead."""
    cluster = Cluster()
    cluster.elect(1)
    cluster.kill(3)
    cluster.propose(*[b"%d" % n for n in range(30)])
    cluster.leader.take_snapshot()
    cluster.restart(3)
    cluster.leader.transfer_leadership(3)
    cluster.catch_up()
    assert (cluster.leaders(), cluster.nodes[3].snapshot_index) == ([3], 32)


def test_nothing_is_taken_while_leadership_is_handed_over() -> None:
    cluster = Cluster()
    leader = cluster.elect(1)
    leader.transfer_leadership(3)
    assert leader.transfer_target == 3
    with pytest.raises(TransferPendingError, match="going to node 3"):
        leader.propose(b"a")
    with pytest.raises(TransferPendingError, match="going to node 3"):
        leader.remove_peer(2)
    cluster.settle()
    with pytest.raises(NotLeaderError):
        leader.propose(b"a")
    assert leader.transfer_target is None


def test_a_transfer_that_fails_ends_in_bounded_time() -> None:
    cluster = Cluster()
    leader = cluster.elect(1)
    cluster.kill(3)
    leader.transfer_leadership(3)
    cluster.tick(1, times=cluster.config.election_timeout_ticks_min)
    assert (cluster.leaders(), leader.transfer_target) == ([1], None)
    cluster.propose(b"a")
    cluster.agree_on([b"a"])


def test_a_lost_order_is_given_again() -> None:
    cluster = Cluster()
    leader = cluster.elect(1)
    leader.transfer_leadership(3)
    cluster.collect(1)
    assert len(cluster.take(MessageType.TIMEOUT_NOW)) == 1
    cluster.tick(1, times=4)
    assert cluster.leaders() == [3]


@pytest.mark.parametrize("target", [1, 4, 9])
def test_only_another_voter_is_a_target(target: int) -> None:
    cluster = Cluster(3, learners=1, promote_learners=False)
    cluster.elect(1)
    with pytest.raises(MembershipError, match=f"node {target} is no other voter"):
        cluster.leader.transfer_leadership(target)


def test_d42_a_learner_does_not_campaign_whoever_tells_it_to() -> None:
    cluster = Cluster(3, learners=1, promote_learners=False)
    cluster.elect(1)
    cluster.sent.clear()
    cluster.deliver(Envelope(1, 4, Message(7, MessageType.TIMEOUT_NOW, 1, 2)))
    node = cluster.nodes[4]
    assert (node.role, node.current_term, cluster.sent) == (Role.FOLLOWER, 2, [])
    assert node.dropped_messages == {DropReason.UNEXPECTED: 1}


@pytest.mark.parametrize(("sender", "term"), [(2, 2), (1, 1), (2, 3)])
def test_only_the_leader_of_this_term_is_obeyed(sender: int, term: int) -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.deliver(Envelope(sender, 3, Message(7, MessageType.TIMEOUT_NOW, sender, term)))
    assert cluster.nodes[3].role is Role.FOLLOWER
