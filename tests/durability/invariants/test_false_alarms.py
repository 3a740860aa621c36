"""Histories that are right and have been taken for wrong: every property must stay silent."""

from durability.invariants.events import (
    Acknowledged,
    Appended,
    Called,
    Committed,
    Event,
    Progress,
    RoleChanged,
    SnapshotPoint,
    SnapshotSaved,
    Stopped,
    TermSaved,
    Truncated,
)
from durability.invariants.observer import Observer, all_properties
from raft.message import MessageType
from tests.durability.invariants.sequences import (
    FOUNDATION,
    PEERS,
    appended,
    command,
    committed_by_first_leader,
    configuration,
    group,
    leads,
    sent,
    started,
    voters,
)

VOTE = MessageType.REQUEST_VOTE_RESPONSE


def assert_silent(events: list[Event], *, pre_vote: bool = False) -> None:
    observer = Observer(all_properties(10, 20, pre_vote=pre_vote))
    for event in events:
        observer.observe(event)
    assert observer.violations == []


def test_a_vote_for_who_lacks_what_the_voter_knows_to_be_committed() -> None:
    """The scenario of etcd-io/raft #515: such a candidate gets votes, and cannot win.

    Node 4 knows entry 2 to be committed and votes for node 5, whose last term is later.
    """
    five = voters(1, 2, 3, 4, 5)
    foundation = configuration(1, 1, 1, 2, 3, 4, 5)
    assert_silent(
        [
            *[started(node, foundation, peers=five) for node in (1, 2, 3, 4, 5)],
            *leads(1, 2),
            *appended((1, 2), command(2, 2)),
            *leads(5, 3),
            *appended((5,), command(3, 2)),
            *leads(1, 4),
            *appended((1,), command(4, 3)),
            Appended(3, command(2, 2)),
            *appended((2, 3), command(4, 3)),
            Committed(1, 3),
            Appended(4, command(2, 2)),
            Committed(4, 2),
            TermSaved(5, 5, 5),
            RoleChanged(5, "follower", 5),
            RoleChanged(5, "candidate", 5),
            TermSaved(4, 5, 5),
            sent(4, 5, VOTE, 5, success=1),
        ]
    )


def test_an_old_election_that_completes_after_a_later_leader_has_committed() -> None:
    """Node 3 gets its last vote of term 2 late: it leads a term in which it can commit nothing."""
    assert_silent(
        [
            *group(),
            TermSaved(3, 2, 3),
            RoleChanged(3, "candidate", 2),
            *leads(1, 3),
            *appended((1, 2), command(3, 2)),
            Committed(1, 2),
            RoleChanged(3, "leader", 2),
        ]
    )


def test_a_commit_that_counts_the_disk_of_a_crashed_voter() -> None:
    """As in openraft #1753: the acknowledgement was on its way when its sender crashed."""
    assert_silent(
        [
            *group(),
            *leads(1, 2),
            *appended((1, 2), command(2, 2)),
            Stopped(2),
            Committed(1, 2),
            Acknowledged(2, 2),
        ]
    )


def test_a_commit_that_counts_a_voter_whose_snapshot_covers_the_index() -> None:
    assert_silent(
        [
            *committed_by_first_leader(),
            Appended(1, command(2, 3)),
            Appended(3, command(2, 2)),
            Appended(3, command(2, 3)),
            Committed(1, 3),
            SnapshotSaved(3, SnapshotPoint(3, 2, PEERS)),
            Stopped(1),
            started(1, FOUNDATION, command(2, 2), command(2, 3), term=2, voted_for=1),
            *leads(1, 3),
            Appended(1, command(3, 4)),
            Appended(2, command(2, 3)),
            Appended(2, command(3, 4)),
            Committed(1, 4),
        ]
    )


def test_a_pre_vote_carries_a_term_that_nobody_has_entered() -> None:
    grant = sent(2, 1, MessageType.PRE_VOTE_RESPONSE, 2, success=1)
    assert_silent(
        [
            *group(),
            sent(1, 2, MessageType.PRE_VOTE, 2),
            Called(2, sent(1, 2, MessageType.PRE_VOTE, 2).message),
            grant,
            Stopped(1),
            Stopped(2),
            started(1, FOUNDATION, term=1),
            started(2, FOUNDATION, term=1),
        ],
        pre_vote=True,
    )


def test_an_acknowledged_entry_that_a_later_leader_had_removed() -> None:
    """What was acknowledged and never committed may go: the restart after that forgets nothing."""
    assert_silent(
        [
            *group(),
            *leads(1, 2),
            Appended(1, command(2, 2)),
            TermSaved(2, 2, 1),
            Appended(2, command(2, 2)),
            sent(2, 1, MessageType.APPEND_ENTRIES_RESPONSE, 2, success=1, last_log_index=2),
            *leads(3, 3),
            Appended(3, command(3, 2)),
            TermSaved(2, 3, None),
            Truncated(2, 2),
            Stopped(2),
            started(2, FOUNDATION, term=3),
        ]
    )


def test_an_entry_that_was_removed_by_the_snapshot_of_another() -> None:
    assert_silent(
        [
            *group(),
            *leads(1, 2),
            Appended(1, command(2, 2)),
            TermSaved(3, 2, 1),
            Appended(3, command(2, 2)),
            sent(3, 1, MessageType.APPEND_ENTRIES_RESPONSE, 2, success=1, last_log_index=2),
            Stopped(1),
            *leads(2, 3),
            Appended(2, command(3, 2)),
            started(1, FOUNDATION, command(2, 2), term=2, voted_for=1),
            TermSaved(1, 3, None),
            Truncated(1, 2),
            Appended(1, command(3, 2)),
            Committed(2, 2),
            TermSaved(3, 3, None),
            SnapshotSaved(3, SnapshotPoint(2, 3, PEERS)),
            Stopped(3),
            started(3, term=3, snapshot=SnapshotPoint(2, 3, PEERS)),
        ]
    )


def test_the_match_of_a_peer_that_was_removed_and_added_again() -> None:
    assert_silent(
        [
            *committed_by_first_leader(),
            Progress(1, 3, 2, 3),
            Appended(1, configuration(2, 3, 1, 2)),
            Appended(2, configuration(2, 3, 1, 2)),
            Committed(1, 3),
            Appended(1, configuration(2, 4, 1, 2, 3)),
            Progress(1, 3, 0, 5),
        ]
    )
