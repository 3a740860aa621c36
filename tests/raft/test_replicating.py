"""What a leader sends, what is stored where, what is committed."""

import dataclasses

import pytest

from raft.effects import Applied
from raft.errors import NotLeaderError
from raft.member import DropReason
from raft.message import Message, MessageType
from tests.raft.cluster import Cluster, Envelope, peer
from tests.raft.disks import Disk, MemoryFilesystem
from tests.raft.journal import open_node
from tests.raft.leaders_requests import answer, append_entries, entry


@pytest.mark.parametrize("voters", [2, 3, 5])
def test_every_member_applies_every_command_in_order(voters: int) -> None:
    cluster = Cluster(voters, learners=1, promote_learners=False)
    cluster.elect(1)
    commands = [b"%d" % n for n in range(20)]
    cluster.propose(*commands)
    cluster.agree_on(commands)
    leader = cluster.leader
    assert {node.commit_index for node in cluster.nodes.values()} == {leader.last_index}
    assert leader.match_index(2) == leader.match_index(1) == leader.last_index
    assert leader.next_index(2) == leader.last_index + 1
    assert (leader.next_index(1), cluster.nodes[2].match_index(1)) == (None, None)


def test_a_command_is_committed_by_a_quorum_and_not_before() -> None:
    cluster = Cluster(5)
    cluster.elect(1)
    cluster.isolate(1, 2)
    cluster.propose(b"a")
    assert cluster.leader.commit_index == 2
    cluster.agree_on([])
    cluster.heal()
    cluster.catch_up()
    cluster.agree_on([b"a"])


def test_a_learner_does_not_count() -> None:
    """C24."""
    cluster = Cluster(3, learners=2, promote_learners=False)
    cluster.elect(1)
    cluster.isolate(1, 4, 5)
    cluster.propose(b"a")
    assert cluster.leader.match_index(4) == cluster.leader.last_index
    cluster.agree_on([])
    cluster.tick(4, 5, times=100)
    assert cluster.leaders() == [1]


def test_who_was_away_catches_up() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a")
    cluster.kill(3)
    cluster.propose(*[b"%d" % n for n in range(50)])
    cluster.restart(3)
    cluster.catch_up()
    cluster.agree_on([b"a", *[b"%d" % n for n in range(50)]])


def test_every_message_may_be_lost_once() -> None:
    """Heartbeats find out, and what was lost is sent again."""
    cluster = Cluster()
    cluster.elect(1)
    lost: set[Envelope] = set()

    def lose_once(envelope: Envelope) -> bool:
        """But for their rounds heartbeats are the same."""
        message = dataclasses.replace(envelope.message, reject_hint=0)
        if message.type is MessageType.APPEND_ENTRIES_RESPONSE:
            message = dataclasses.replace(message, prev_log_index=0)
        same = dataclasses.replace(envelope, message=message)
        is_again = same in lost
        lost.add(same)
        return is_again

    cluster.intercept = lose_once
    commands = [b"%d" % n for n in range(10)]
    for command in commands:
        cluster.leader.propose(command)
        cluster.tick(1)
    for _ in range(8):
        cluster.catch_up()
    cluster.agree_on(commands)


def test_messages_may_come_twice_and_in_any_order() -> None:
    cluster = Cluster()
    cluster.elect(1)
    commands = [b"%d" % n for n in range(12)]
    for command in commands:
        cluster.leader.propose(command)
        cluster.collect(1)
    late = cluster.take(MessageType.APPEND_ENTRIES)
    for envelope in [*reversed(late), *late[::3], *late]:
        cluster.deliver(envelope)
    cluster.settle()
    cluster.catch_up()
    cluster.agree_on(commands)
    assert cluster.journals[2].indexes == sorted(set(cluster.journals[2].indexes))


def test_proposals_are_for_the_leader_who_is_named() -> None:
    cluster = Cluster()
    with pytest.raises(NotLeaderError, match="none is known"):
        cluster.nodes[2].propose(b"a")
    cluster.elect(1)
    with pytest.raises(NotLeaderError, match="node 1"):
        cluster.nodes[2].propose(b"a")


def entries_messages(cluster: Cluster) -> list[Message]:
    return [one.message for one in cluster.network if one.message.entries_count]


def test_several_appends_are_in_flight_but_not_without_end() -> None:
    cluster = Cluster(2, max_appends_in_flight=3)
    cluster.elect(1)
    for n in range(10):
        cluster.leader.propose(b"%d" % n)
    cluster.collect(1)
    sent = entries_messages(cluster)
    assert [message.prev_log_index for message in sent] == [2, 3, 4]
    cluster.deliver(cluster.network.popleft())
    cluster.deliver(cluster.network.pop())
    assert [message.entries_count for message in entries_messages(cluster)] == [1, 1, 7]
    cluster.settle()
    cluster.agree_on([b"%d" % n for n in range(10)])


def test_a_batch_stays_within_the_limit_but_for_one_entry_that_is_larger_c27() -> None:
    cluster = Cluster(2, max_append_entries_bytes=100)
    cluster.elect(1)
    cluster.kill(2)
    sizes = [20, 20, 20, 58, 59, 300, 1, 100]
    cluster.leader.propose_many([bytes(size) for size in sizes])
    cluster.restart(2)
    cluster.sent.clear()
    cluster.catch_up()
    batches = [
        [len(one.data) for one in envelope.message.entries()]
        for envelope in cluster.sent
        if envelope.message.entries_count
    ]
    assert batches == [[20, 20], [20], [58], [59], [300], [1], [100]]
    assert cluster.nodes[2].last_index == cluster.nodes[1].last_index


def test_an_unanswered_probe_is_repeated_without_its_entries() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.kill(3)
    cluster.elect(1)
    cluster.propose(*[b"%d" % n for n in range(5)])
    cluster.sent.clear()
    cluster.tick(1, times=20)
    to_the_dead = [one.message.entries_count for one in cluster.sent if one.receiver == 3]
    assert len(to_the_dead) == 10
    assert sum(to_the_dead) <= 6


def test_d03_an_acknowledgement_of_an_earlier_term_counts_for_nothing() -> None:
    cluster = Cluster(pre_vote=False)
    cluster.elect(1)
    cluster.leader.propose(b"a")
    cluster.settle()
    old = [one for one in cluster.sent if one.sender == 3 and one.message.last_log_index == 3][-1]
    cluster.elect(2)
    cluster.elect(1)
    cluster.isolate(1)
    cluster.leader.propose(b"b")
    cluster.settle()
    before = cluster.nodes[1].commit_index
    node = cluster.nodes[1]
    stale = node.dropped_messages[DropReason.STALE]
    claim = dataclasses.replace(old.message, last_log_index=node.last_index)
    cluster.deliver(Envelope(3, 1, claim))
    assert (node.commit_index, node.last_index) == (before, before + 1)
    assert node.dropped_messages[DropReason.STALE] == stale + 1


def test_c22_the_leader_finds_where_the_logs_agree() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a")
    cluster.isolate(1)
    for n in range(30):
        cluster.nodes[1].propose(b"lost %d" % n)
    cluster.settle()
    cluster.elect(2)
    cluster.propose(*[b"%d" % n for n in range(30)])
    cluster.nodes[2].transfer_leadership(3)
    cluster.settle()
    cluster.heal()
    cluster.sent.clear()
    cluster.catch_up()
    cluster.agree_on([b"a", *[b"%d" % n for n in range(30)]])
    refusals = [
        one
        for one in cluster.sent
        if one.message.type is MessageType.APPEND_ENTRIES_RESPONSE
        and not one.message.success
        and one.message.term == cluster.leader.current_term
    ]
    assert 1 <= len(refusals) <= 2


def test_d22_a_request_from_before_a_compaction_does_no_harm() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.leader.propose(b"a")
    cluster.collect(1)
    late = cluster.take(MessageType.APPEND_ENTRIES, 3)
    cluster.catch_up()
    cluster.propose(*[b"%d" % n for n in range(9)])
    assert cluster.nodes[3].take_snapshot() == 12
    for envelope in late:
        cluster.deliver(envelope)
        response = cluster.sent[-1].message
        assert (response.success, response.last_log_index) == (True, 12)
    for prev in range(13):
        request = append_entries(2, (prev, 1 if prev < 2 else 2), commit_index=12)
        assert answer(cluster, request).success
    assert cluster.nodes[3].last_index == 12


def test_d29_only_an_entry_of_the_own_term_is_committed_by_counting() -> None:
    """Figure 8 of the paper; one entry a message, else the own one would go with the old."""
    cluster = Cluster(5, max_append_entries_bytes=1)
    cluster.elect(1)
    cluster.isolate(1, 2)
    cluster.propose(b"old")
    old = cluster.nodes[1].last_index
    cluster.restart(1)
    cluster.heal()
    own = old + 1

    def lose_the_own_entry(envelope: Envelope) -> bool:
        message = envelope.message
        return own not in [one.index for one in message.entries()] if message.data else True

    cluster.intercept = lose_the_own_entry
    cluster.elect(1)
    cluster.catch_up()
    leader = cluster.leader
    assert [leader.match_index(peer_id) for peer_id in range(1, 6)] == [own, old, old, old, old]
    assert (leader.term(old), leader.current_term) == (2, 3)
    assert leader.commit_index < old
    cluster.agree_on([])
    cluster.intercept = lambda _: True
    cluster.catch_up()
    assert leader.commit_index == own
    cluster.agree_on([b"old"])


def test_entries_are_applied_once_and_told_once() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a", b"b")
    for node_id in cluster.nodes:
        told = [one for one in cluster.effects[node_id] if isinstance(one, Applied)]
        assert told == [Applied(3, 2, 1), Applied(4, 2, 2)]


def test_an_acknowledgement_of_more_than_was_sent_is_dropped() -> None:
    cluster = Cluster()
    node = cluster.elect(1)
    claim = Message(
        7, MessageType.APPEND_ENTRIES_RESPONSE, 2, 2, last_log_index=2**64 - 1, success=True
    )
    cluster.deliver(Envelope(2, 1, claim))
    assert node.dropped_messages == {DropReason.MALFORMED: 1}
    assert node.match_index(2) == 2


def test_what_follows_no_question_is_dropped() -> None:
    cluster = Cluster()
    cluster.elect(1)
    for kind in (MessageType.APPEND_ENTRIES_RESPONSE, MessageType.INSTALL_SNAPSHOT_RESPONSE):
        cluster.deliver(Envelope(1, 2, Message(7, kind, 1, 2, success=True)))
    assert cluster.nodes[2].dropped_messages == {DropReason.UNEXPECTED: 2}
    cluster.deliver(
        Envelope(2, 1, Message(7, MessageType.INSTALL_SNAPSHOT_RESPONSE, 2, 2, success=True))
    )
    assert cluster.leaders() == [1]


def test_a_fresh_node_learns_everything_from_its_leader() -> None:
    cluster = Cluster()
    node, journal = open_node(MemoryFilesystem(Disk()))
    configuration = cluster.nodes[1].entry(1)
    assert peer(2) in configuration.peers()
    node.step(append_entries(2, (0, 0), [configuration, entry(2, 2)], commit_index=2))
    assert (node.peers, journal.commands) == (cluster.peers, [entry(2, 2).data])


def test_a_rejection_that_comes_twice_is_answered_once() -> None:
    """Else each answer to the repetition is a repetition itself, and so on."""

    def sent_until_agreed(copies: int) -> int:
        cluster = Cluster()
        cluster.elect(1)
        cluster.isolate(3)
        cluster.propose(*[b"%d" % n for n in range(5)])
        cluster.heal()
        cluster.sent.clear()
        rejections = 0

        def multiply(one: Envelope) -> bool:
            nonlocal rejections
            kind = one.message.type
            if kind is MessageType.APPEND_ENTRIES_RESPONSE and not one.message.success:
                rejections += 1
                for _ in range(copies - 1):
                    cluster.deliver(one)
            return True

        cluster.intercept = multiply
        cluster.tick(1, times=20)
        cluster.agree_on([b"%d" % n for n in range(5)])
        assert rejections == 1
        return len(cluster.sent)

    assert sent_until_agreed(4) == sent_until_agreed(1)
