"""Who leads: elections, pre-votes, and what does not disturb them."""

import dataclasses

import pytest

from raft.effects import RoleChanged, SendMessage
from raft.election import Role
from raft.member import MAX_TERM, DropReason
from raft.message import Message, MessageType
from tests.raft.cluster import Cluster, Envelope
from tests.raft.disks import Disk, MemoryFilesystem
from tests.raft.journal import open_node


def roles(cluster: Cluster, node_id: int) -> list[tuple[Role, int]]:
    return [
        (effect.role, effect.term)
        for effect in cluster.effects[node_id]
        if isinstance(effect, RoleChanged)
    ]


@pytest.mark.parametrize("voters", [1, 2, 3, 5])
def test_a_group_elects_one_leader_by_itself(voters: int) -> None:
    """C12: within two maximal timeouts, the second for a vote that was split."""
    cluster = Cluster(voters)
    cluster.tick(times=2 * cluster.config.election_timeout_ticks_max)
    assert len(cluster.leaders()) == 1
    leader = cluster.leader
    for node in cluster.nodes.values():
        assert (node.leader_id, node.current_term) == (leader.node_id, leader.current_term)
        assert node.commit_index == leader.last_index == 2


def test_a_leader_that_is_heard_stays() -> None:
    cluster = Cluster()
    cluster.elect(2)
    before = cluster.leader.current_term
    cluster.tick(times=200)
    assert (cluster.leaders(), cluster.leader.current_term) == ([2], before)


def test_the_roles_on_the_way_to_the_lead() -> None:
    cluster = Cluster()
    cluster.elect(1)
    assert roles(cluster, 1) == [
        (Role.PRE_CANDIDATE, 1),
        (Role.CANDIDATE, 2),
        (Role.LEADER, 2),
    ]
    cluster.elect(2)
    assert roles(cluster, 1)[3:] == [(Role.FOLLOWER, 3)]


def test_without_pre_vote_the_term_is_raised_at_once() -> None:
    cluster = Cluster(pre_vote=False)
    cluster.elect(1)
    assert roles(cluster, 1) == [(Role.CANDIDATE, 2), (Role.LEADER, 2)]
    assert not [one for one in cluster.sent if one.message.type is MessageType.PRE_VOTE]


def test_the_others_elect_another_leader_when_one_is_gone() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a")
    cluster.kill(1)
    cluster.tick(times=60)
    assert cluster.leaders() in ([2], [3])
    cluster.propose(b"b")
    cluster.restart(1)
    cluster.catch_up()
    cluster.agree_on([b"a", b"b"])


def test_elections_are_the_same_with_the_same_seed_d18() -> None:
    def transcript(seed: int | None) -> tuple[Envelope, ...]:
        cluster = Cluster(5, random_seed=seed, election_timeout_ticks_max=1000)
        cluster.tick(times=1000)
        return tuple(cluster.sent)

    assert transcript(1) == transcript(1)
    assert len({transcript(seed) for seed in (1, 2, 3)}) == 3
    assert len({transcript(None) for _ in range(3)}) > 1


# Votes.


def test_a_vote_is_given_once_in_a_term_also_across_a_power_cut_d05_d26() -> None:
    cluster = Cluster()
    request = Message(7, MessageType.REQUEST_VOTE, 1, 5, last_log_index=9, last_log_term=1)
    cluster.deliver(Envelope(1, 3, request))
    cluster.cut_power(3)
    cluster.start(3)
    assert (cluster.nodes[3].current_term, cluster.nodes[3].voted_for) == (5, 1)
    cluster.deliver(Envelope(2, 3, dataclasses.replace(request, sender=2)))
    cluster.deliver(Envelope(1, 3, request))
    answers = [(one.receiver, one.message.success) for one in cluster.sent if one.sender == 3]
    assert answers == [(1, True), (2, False), (1, True)]


@pytest.mark.parametrize(
    ("index", "term", "granted"),
    [(3, 2, True), (4, 2, True), (1, 3, True), (2, 2, False), (99, 1, False), (0, 0, False)],
)
def test_a_vote_goes_to_a_log_that_is_as_good(index: int, term: int, *, granted: bool) -> None:
    """C2: the last term counts first, then the length. Node 2's log ends at index 3, term 2."""
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a")
    cluster.restart(2)
    for kind in (MessageType.PRE_VOTE, MessageType.REQUEST_VOTE):
        request = Message(7, kind, 3, 9, last_log_index=index, last_log_term=term)
        cluster.deliver(Envelope(3, 2, request))
        assert cluster.sent[-1].message.success is granted


def test_answers_of_an_earlier_term_are_not_counted_as_votes() -> None:
    cluster = Cluster(5, pre_vote=False)
    for node_id in range(2, 6):
        cluster.cut.add((1, node_id))
    cluster.tick(1, times=40)
    node = cluster.nodes[1]
    assert (node.role, node.current_term) == (Role.CANDIDATE, 3)
    for sender in (2, 3):
        vote = Message(7, MessageType.REQUEST_VOTE_RESPONSE, sender, 2, success=True)
        cluster.deliver(Envelope(sender, 1, vote))
    assert node.role is Role.CANDIDATE
    assert node.dropped_messages == {DropReason.STALE: 2}


def test_a_vote_counts_once_however_often_it_comes() -> None:
    cluster = Cluster(5, pre_vote=False)
    cluster.isolate(1)
    cluster.tick(1, times=20)
    node = cluster.nodes[1]
    vote = Message(7, MessageType.REQUEST_VOTE_RESPONSE, 2, node.current_term, success=True)
    for _ in range(3):
        cluster.deliver(Envelope(2, 1, vote))
    assert node.role is Role.CANDIDATE
    cluster.deliver(Envelope(3, 1, dataclasses.replace(vote, sender=3)))
    assert node.is_leader


# Pre-votes.


def test_asking_for_and_granting_a_pre_vote_changes_nothing_p11() -> None:
    """Node 1 asks again and again, and gets one answer of the two that it needs."""
    cluster = Cluster(5)
    cluster.nodes[1]._storage.save_term(5, 1)
    files = {node_id: disk.after_kill() for node_id, disk in cluster.disks.items()}
    cluster.intercept = lambda one: one.receiver == 2 or one.sender == 2
    cluster.tick(1, times=100)
    answers = [one for one in cluster.sent if one.message.type is MessageType.PRE_VOTE_RESPONSE]
    assert len(answers) > 3
    assert all(one.message.success and one.message.term == 6 for one in answers)
    assert cluster.nodes[1].role is Role.PRE_CANDIDATE
    assert {node_id: disk.after_kill() for node_id, disk in cluster.disks.items()} == files


def test_a_node_that_was_away_does_not_depose_the_leader_c15() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.isolate(3)
    cluster.tick(times=200)
    assert cluster.nodes[3].current_term == 2
    cluster.heal()
    cluster.tick(times=100)
    assert (cluster.leaders(), cluster.leader.current_term) == ([1], 2)


def test_d36_a_refusal_raises_who_asks_to_the_term_of_who_refuses() -> None:
    """A has the longer log and term 5, B the higher term 7, C is dead."""
    cluster = Cluster()
    cluster.kill(3)
    cluster.nodes[1]._storage.save_term(5, None)
    cluster.elect(1)
    cluster.kill(2)
    cluster.propose(b"only on 1")
    cluster.start(2)
    cluster.restart(1)
    cluster.nodes[2]._storage.save_term(7, None)
    assert cluster.nodes[1].last_index > cluster.nodes[2].last_index
    cluster.tick(times=100)
    assert cluster.leaders() == [1]
    assert cluster.leader.current_term >= 8


def test_d37_a_pre_vote_is_refused_while_a_leader_is_heard() -> None:
    """A bridge: 1 and 2 hear each other and the leader 2; 3 hears only 1."""
    cluster = Cluster()
    cluster.elect(2)
    cluster.cut = {(2, 3), (3, 2)}
    cluster.tick(times=300)
    assert (cluster.leaders(), cluster.leader.current_term) == ([2], 2)
    assert cluster.nodes[3].current_term == 2


def test_a_pre_vote_counts_for_the_term_that_it_was_asked_for() -> None:
    cluster = Cluster(5)
    cluster.isolate(1)
    cluster.tick(1, times=20)
    node = cluster.nodes[1]
    assert node.role is Role.PRE_CANDIDATE
    for sender, term in ((2, 1), (3, 1), (4, 3), (5, 3)):
        vote = Message(7, MessageType.PRE_VOTE_RESPONSE, sender, term, success=True)
        cluster.deliver(Envelope(sender, 1, vote))
    assert (node.role, node.current_term) == (Role.PRE_CANDIDATE, 1)
    for sender in (2, 3):
        vote = Message(7, MessageType.PRE_VOTE_RESPONSE, sender, 2, success=True)
        cluster.deliver(Envelope(sender, 1, vote))
    assert (node.role, node.current_term) == (Role.CANDIDATE, 2)


# What disturbs nobody.


@pytest.mark.parametrize("kind", [MessageType.REQUEST_VOTE, MessageType.PRE_VOTE])
@pytest.mark.parametrize("node_id", [1, 2])
def test_d14_a_stranger_is_refused_its_vote_and_raises_no_term(
    kind: MessageType, node_id: int
) -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.tick(times=3)
    cluster.forget_leader(node_id)
    request = Message(7, kind, 9, 50, last_log_index=99, last_log_term=49)
    cluster.deliver(Envelope(9, node_id, request))
    answer = cluster.sent[-1]
    assert (answer.receiver, answer.message.success, answer.message.term) == (9, False, 2)
    assert (cluster.leaders(), cluster.nodes[node_id].current_term) == ([1], 2)


@pytest.mark.parametrize(
    "kind",
    [
        MessageType.APPEND_ENTRIES_RESPONSE,
        MessageType.REQUEST_VOTE_RESPONSE,
        MessageType.INSTALL_SNAPSHOT_RESPONSE,
        MessageType.PRE_VOTE_RESPONSE,
        MessageType.TIMEOUT_NOW,
    ],
)
def test_d14_whatever_else_a_stranger_says_is_dropped(kind: MessageType) -> None:
    cluster = Cluster()
    cluster.elect(1)
    files = cluster.disks[2].after_kill()
    for node_id in (1, 2):
        cluster.deliver(Envelope(9, node_id, Message(7, kind, 9, 50, success=True)))
        assert cluster.nodes[node_id].dropped_messages == {DropReason.NOT_A_MEMBER: 1}
    assert (cluster.leaders(), cluster.disks[2].after_kill()) == ([1], files)


@pytest.mark.parametrize("kind", MessageType)
def test_a_term_that_no_group_reaches_is_not_believed(kind: MessageType) -> None:
    cluster = Cluster()
    cluster.elect(1)
    for node_id, sender in ((1, 2), (2, 3), (3, 1)):
        cluster.deliver(Envelope(sender, node_id, Message(7, kind, sender, MAX_TERM + 1)))
        assert cluster.nodes[node_id].dropped_messages == {DropReason.MALFORMED: 1}
    assert (cluster.leaders(), cluster.leader.current_term) == ([1], 2)


REQUESTS = [
    MessageType.APPEND_ENTRIES,
    MessageType.REQUEST_VOTE,
    MessageType.INSTALL_SNAPSHOT,
    MessageType.PRE_VOTE,
]


@pytest.mark.parametrize("kind", REQUESTS)
def test_nobody_asks_for_anything_in_term_0(kind: MessageType) -> None:
    node, _ = open_node(MemoryFilesystem(Disk()))
    node.step(Message(7, kind, 9, 0))
    assert node.dropped_messages == {DropReason.MALFORMED: 1}
    assert (node.leader_id, node.take_effects()) == (None, [])


@pytest.mark.parametrize("kind", REQUESTS)
def test_node_0_is_nobody(kind: MessageType) -> None:
    cluster = Cluster()
    cluster.deliver(Envelope(0, 2, Message(7, kind, 0, 5)))
    assert cluster.nodes[2].dropped_messages == {DropReason.MALFORMED: 1}
    assert (cluster.nodes[2].current_term, cluster.sent) == (1, [])


def test_a_leader_of_an_earlier_term_is_told_the_term() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.isolate(1)
    cluster.elect(2)
    assert sorted(cluster.leaders()) == [1, 2]
    cluster.cut = {(2, 1), (3, 1)}
    cluster.tick(1, times=2)
    assert cluster.leaders() == [1, 2]
    cluster.cut = set()
    cluster.tick(1, times=2)
    assert cluster.leaders() == [2]


# A leader alone.


def test_p22_a_leader_without_a_quorum_gives_up_in_bounded_time() -> None:
    cluster = Cluster(5)
    cluster.elect(1)
    cluster.isolate(1, 2)
    cluster.tick(1, 2, times=2 * cluster.config.election_timeout_ticks_max)
    assert cluster.leaders() == []
    assert roles(cluster, 1)[-1] != (Role.LEADER, 2)
    assert (Role.FOLLOWER, 2) in roles(cluster, 1)


def test_a_leader_with_a_quorum_does_not_give_up() -> None:
    cluster = Cluster(5)
    cluster.elect(1)
    cluster.isolate(1, 2, 3)
    cluster.tick(1, 2, 3, times=10 * cluster.config.election_timeout_ticks_max)
    assert cluster.leaders() == [1]


def test_answers_of_a_quorum_that_came_before_do_not_count_again() -> None:
    """What was heard in one period says nothing of the next."""
    cluster = Cluster()
    cluster.elect(1)
    cluster.tick(times=5)
    cluster.isolate(1)
    ticks = 0
    while cluster.nodes[1].is_leader:
        cluster.tick(1)
        ticks += 1
    assert ticks <= 2 * cluster.config.election_timeout_ticks_max


def test_a_node_without_a_configuration_says_nothing() -> None:
    node, _ = open_node(MemoryFilesystem(Disk()))
    for _ in range(100):
        node.tick()
    assert [effect for effect in node.take_effects() if isinstance(effect, SendMessage)] == []
