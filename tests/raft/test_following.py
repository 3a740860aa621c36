"""What a follower stores, acknowledges and commits of what its leader sends."""

import dataclasses

import pytest

from raft.log_entry import EntryType, LogEntry
from raft.member import DropReason
from raft.message import Message, MessageType
from raft.peer import PeerRole, encode_peers
from tests.raft.cluster import Cluster, Envelope, peer
from tests.raft.leaders_requests import answer, append_entries, entry, follower, log_terms

NO_VOTER = encode_peers([peer(3, PeerRole.LEARNER)])


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
        cluster.forget_leader(3)
        cluster.deliver(Envelope(message.sender, 3, message))
        assert cluster.nodes[3].current_term == term
        cluster.cut_power(3)
        assert cluster.start(3).current_term == term


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


@pytest.mark.parametrize(
    "message",
    [
        append_entries(2, (3, 1), [entry(4, 1)]),
        append_entries(2, (1, 1), [entry(2, 1), entry(3, 1), entry(4, 1)]),
        append_entries(3, (2, 2), [entry(3, 3), entry(4, 3)]),
        append_entries(3, (3, 3), [entry(4, 3)]),
        append_entries(3, (2, 2), [entry(3, 3), entry(4, 3)], commit_index=4),
    ],
)
def test_what_follows_another_entry_than_the_committed_one_is_dropped(message: Message) -> None:
    """No leader of the group's sends it; the first two have terms that would fall in the log."""
    cluster = follower(2, 2, 2)
    node = cluster.nodes[3]
    answer(cluster, append_entries(2, (4, 2), commit_index=3))
    cluster.sent.clear()
    cluster.deliver(Envelope(1, 3, message))
    assert node.dropped_messages[DropReason.MALFORMED] == 1
    assert (log_terms(cluster), node.commit_index, cluster.sent) == ([1, 2, 2, 2], 3, [])


@pytest.mark.parametrize("term", [1, 3])
def test_what_only_repeats_committed_entries_is_not_looked_at(term: int) -> None:
    cluster = follower(2, 2, 2)
    answer(cluster, append_entries(2, (4, 2), commit_index=3))
    response = answer(cluster, append_entries(3, (1, term), [entry(2, 3), entry(3, 3)]))
    assert (response.success, response.last_log_index) == (True, 3)
    assert log_terms(cluster) == [1, 2, 2, 2]


def test_a_second_leader_of_a_term_is_not_followed() -> None:
    cluster = Cluster()
    node = cluster.elect(1)
    for kind in (MessageType.APPEND_ENTRIES, MessageType.INSTALL_SNAPSHOT):
        cluster.deliver(Envelope(2, 1, Message(7, kind, 2, 2, prev_log_index=99)))
    assert node.is_leader
    assert node.dropped_messages == {DropReason.UNEXPECTED: 2}


def test_a_leader_that_is_not_known_as_a_member_yet_is_followed() -> None:
    """Who was away while the members changed learns of it from the new ones."""
    cluster = Cluster()
    response = answer(cluster, append_entries(4, (1, 1), [entry(2, 4)], sender=9))
    assert response.success
    assert (cluster.nodes[3].leader_id, cluster.nodes[3].current_term) == (9, 4)
