"""What a leader sends, what a follower stores and acknowledges, what is committed."""

import dataclasses
from collections.abc import Sequence

import pytest

from raft.effects import Applied
from raft.errors import NotLeaderError
from raft.log_entry import EntryType, LogEntry
from raft.member import DropReason
from raft.message import Message, MessageType
from raft.peer import PeerRole, encode_peers
from tests.raft.cluster import Cluster, Envelope, peer
from tests.raft.disks import Disk, MemoryFilesystem
from tests.raft.journal import open_node

NO_VOTER = encode_peers([peer(3, PeerRole.LEARNER)])


def append_entries(
    term: int,
    prev: tuple[int, int],
    entries: Sequence[LogEntry] = (),
    *,
    sender: int = 1,
    commit_index: int = 0,
) -> Message:
    return Message(
        7,
        MessageType.APPEND_ENTRIES,
        sender,
        term,
        prev_log_index=prev[0],
        prev_log_term=prev[1],
        commit_index=commit_index,
        entries_count=len(entries),
        data=b"".join(entry.encode() for entry in entries),
    )


def entry(index: int, term: int) -> LogEntry:
    return LogEntry(term, index, EntryType.NORMAL, b"%d of term %d" % (index, term))


def follower(*terms: int) -> Cluster:
    """Node 3 of three, given by node 1 a log of entries of these terms after the first one."""
    cluster = Cluster()
    prev = (1, 1)
    for index, term in enumerate(terms, 2):
        cluster.deliver(Envelope(1, 3, append_entries(term, prev, [entry(index, term)])))
        prev = (index, term)
    assert cluster.nodes[3].last_index == 1 + len(terms)
    cluster.sent.clear()
    return cluster


def answer(cluster: Cluster, message: Message) -> Message:
    """Deliver to node 3 and return what it answers."""
    cluster.deliver(Envelope(message.sender, 3, message))
    return cluster.sent[-1].message


def log_terms(cluster: Cluster, node_id: int = 3) -> list[int | None]:
    node = cluster.nodes[node_id]
    return [node.term(index) for index in range(node.first_index, node.last_index + 1)]


# A group at work.


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


# What is sent.


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


# What is stored and acknowledged.


def test_d01_nothing_beyond_what_was_verified_is_committed() -> None:
    """The follower's entries 3 and 4 are of a leader that was deposed."""
    cluster = follower(2, 2, 2)
    node = cluster.nodes[3]
    response = answer(cluster, append_entries(3, (2, 2), commit_index=4, sender=2))
    assert response.success
    assert (node.commit_index, node.last_index) == (2, 4)
    answer(cluster, append_entries(3, (2, 2), [entry(3, 3)], commit_index=4, sender=2))
    assert (node.commit_index, node.last_index) == (3, 3)


def test_d02_nothing_beyond_what_was_verified_is_acknowledged() -> None:
    cluster = follower(2, 2, 2)
    assert answer(cluster, append_entries(3, (2, 2), sender=2)).last_log_index == 2
    response = answer(cluster, append_entries(3, (2, 2), [entry(3, 2)], sender=2))
    assert (response.success, response.last_log_index) == (True, 3)


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


def test_d10_the_whole_log_but_for_what_is_committed_can_be_replaced() -> None:
    cluster = follower(2, 2)
    configuration = cluster.nodes[3].entry(1)
    first = LogEntry(2, 1, EntryType.CONFIGURATION, configuration.data)
    answer(cluster, append_entries(3, (0, 0), [first, entry(2, 3)], sender=2))
    assert log_terms(cluster) == [2, 3]
    assert cluster.nodes[3].peers == cluster.peers


def test_what_is_there_already_is_not_truncated() -> None:
    cluster = follower(2, 2, 2)
    files = cluster.disks[3].after_kill()
    for entries in ([], [entry(2, 2)], [entry(2, 2), entry(3, 2)]):
        assert answer(cluster, append_entries(2, (1, 1), entries)).success
    assert cluster.nodes[3].last_index == 4
    assert cluster.disks[3].after_kill() == files


def test_a_conflict_replaces_what_follows_it() -> None:
    cluster = follower(2, 2, 2, 2)
    response = answer(
        cluster, append_entries(4, (2, 2), [entry(3, 2), entry(4, 3), entry(5, 4)], sender=2)
    )
    assert (response.success, response.last_log_index) == (True, 5)
    assert log_terms(cluster) == [1, 2, 2, 3, 4]
    cluster.cut_power(3)
    cluster.start(3)
    assert log_terms(cluster) == [1, 2, 2, 3, 4]


@pytest.mark.parametrize(
    ("prev", "hint"),
    [((9, 3), 6), ((7, 3), 6), ((6, 4), 4), ((4, 3), 1), ((2, 3), 1)],
)
def test_a_mismatch_is_refused_with_a_hint_that_skips_a_whole_term_c22(
    prev: tuple[int, int], hint: int
) -> None:
    cluster = follower(2, 2, 2, 3, 3)
    response = answer(cluster, append_entries(5, prev, sender=2))
    assert (response.success, response.reject_hint) == (False, hint)
    assert response.last_log_index == prev[0]
    assert cluster.nodes[3].last_index == 6


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


def test_d28_an_entry_is_durable_before_it_is_acknowledged() -> None:
    cluster = follower(2, 2)
    response = answer(cluster, append_entries(2, (3, 2), [entry(4, 2), entry(5, 2)]))
    cluster.cut_power(3)
    assert cluster.start(3).last_index == response.last_log_index == 5


def test_d27_a_term_is_durable_before_it_is_used() -> None:
    cluster = follower(2)
    for term, message in (
        (5, append_entries(5, (2, 2))),
        (6, Message(7, MessageType.REQUEST_VOTE, 2, 6)),
        (8, Message(7, MessageType.TIMEOUT_NOW, 2, 8)),
        (9, Message(7, MessageType.APPEND_ENTRIES_RESPONSE, 2, 9)),
        (11, Message(7, MessageType.PRE_VOTE_RESPONSE, 2, 11)),
    ):
        cluster.nodes[3]._member.election._ticks_since_leader = 99
        cluster.deliver(Envelope(message.sender, 3, message))
        assert cluster.nodes[3].current_term == term
        cluster.cut_power(3)
        assert cluster.start(3).current_term == term


# What is committed.


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


# What makes no sense.


@pytest.mark.parametrize(
    "message",
    [
        append_entries(2, (1, 1), [entry(2, 2), entry(4, 2)]),
        append_entries(2, (1, 1), [entry(3, 2)]),
        append_entries(2, (1, 1), [entry(2, 3)]),
        append_entries(3, (1, 1), [entry(2, 3), entry(3, 2)]),
        append_entries(2, (1, 2), [entry(2, 1)]),
        append_entries(2, (1, 1), [entry(2, 2), LogEntry(2, 3, EntryType.CONFIGURATION, b"?")]),
        append_entries(2, (1, 1), [LogEntry(2, 2, EntryType.CONFIGURATION, bytes(4))]),
        append_entries(2, (1, 1), [LogEntry(2, 2, EntryType.CONFIGURATION, NO_VOTER)]),
        dataclasses.replace(append_entries(2, (1, 1), [entry(2, 2)]), entries_count=2),
        dataclasses.replace(append_entries(2, (1, 1), [entry(2, 2)]), entries_count=0),
    ],
)
def test_d30_a_batch_that_is_damaged_anywhere_is_dropped_whole(message: Message) -> None:
    cluster = Cluster()
    cluster.deliver(Envelope(1, 3, message))
    node = cluster.nodes[3]
    assert node.dropped_messages == {DropReason.MALFORMED: 1}
    assert (node.last_index, cluster.sent) == (1, [])


def test_an_acknowledgement_of_more_than_was_sent_is_dropped() -> None:
    cluster = Cluster()
    node = cluster.elect(1)
    claim = Message(
        7, MessageType.APPEND_ENTRIES_RESPONSE, 2, 2, last_log_index=2**64 - 1, success=True
    )
    cluster.deliver(Envelope(2, 1, claim))
    assert node.dropped_messages == {DropReason.MALFORMED: 1}
    assert node.match_index(2) == 2


def test_a_second_leader_of_a_term_is_not_followed() -> None:
    cluster = Cluster()
    node = cluster.elect(1)
    for kind in (MessageType.APPEND_ENTRIES, MessageType.INSTALL_SNAPSHOT):
        cluster.deliver(Envelope(2, 1, Message(7, kind, 2, 2, prev_log_index=99)))
    assert node.is_leader
    assert node.dropped_messages == {DropReason.UNEXPECTED: 2}


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


def test_a_leader_that_is_not_known_as_a_member_yet_is_followed() -> None:
    """Who was away while the members changed learns of it from the new ones."""
    cluster = Cluster()
    response = answer(cluster, append_entries(4, (1, 1), [entry(2, 4)], sender=9))
    assert response.success
    assert (cluster.nodes[3].leader_id, cluster.nodes[3].current_term) == (9, 4)


def test_a_fresh_node_learns_everything_from_its_leader() -> None:
    cluster = Cluster()
    node, journal = open_node(MemoryFilesystem(Disk()))
    configuration = cluster.nodes[1].entry(1)
    assert peer(2) in configuration.peers()
    node.step(append_entries(2, (0, 0), [configuration, entry(2, 2)], commit_index=2))
    assert (node.peers, journal.commands) == (cluster.peers, [entry(2, 2).data])
