import pytest

from raft.replication import Progress, Replication


def replication(matches: list[int]) -> Replication:
    """A leader, node 0, that has stored the first of these, and peers that have the others."""
    made = Replication(0)
    made.track(range(len(matches)), 1)
    made.stored(matches[0])
    for node_id, index in enumerate(matches[1:], 1):
        made.peers[node_id].acknowledge(index, 1)
    return made


@pytest.mark.parametrize(
    ("matches", "expected"),
    [
        ([5], 5),
        ([5, 7], 5),
        ([5, 7, 9], 7),
        ([0, 0, 9], 0),
        ([1, 5, 7, 9], 5),
        ([1, 5, 7, 9, 9], 7),
    ],
)
def test_the_quorum_index_is_stored_by_a_majority(matches: list[int], expected: int) -> None:
    made = replication([*matches, 1000])
    assert made.quorum_index(range(len(matches))) == expected
    assert [made.match_index(node_id) for node_id in range(len(matches))] == matches


def test_who_is_not_known_has_stored_nothing() -> None:
    made = replication([5])
    assert made.match_index(9) == 0
    assert made.quorum_index([0, 9]) == 0


def test_peers_are_tracked_once_and_the_leader_is_none() -> None:
    made = replication([5, 3])
    made.track([2, 1, 0], 9)
    assert {peer_id: progress.next_index for peer_id, progress in made.peers.items()} == {
        1: 4,
        2: 9,
    }
    made.forget_all_but([0, 2])
    assert list(made.peers) == [2]


def test_activity_is_counted_anew_each_time() -> None:
    made = replication([5, 3, 3])
    made.peers[2].is_active = True
    assert made.take_active() == {0, 2}
    assert made.take_active() == {0}


def test_a_peer_is_probed_with_one_message_at_a_time() -> None:
    progress = Progress(7)
    assert progress.may_send(3)
    progress.sent(9)
    assert not progress.may_send(3)
    assert progress.next_index == 7
    progress.reject(0, 4, 1)
    assert progress.may_send(3)
    assert (progress.next_index, progress.match_index) == (5, 0)


def test_each_rejection_of_a_probe_moves_it_back() -> None:
    progress = Progress(7)
    for expected in (6, 5, 2, 1, 1):
        progress.reject(0, 1 if expected == 2 else 100, 1)
        assert progress.next_index == expected


def test_once_the_logs_agree_a_window_is_filled_without_waiting() -> None:
    progress = Progress(7)
    progress.sent(7)
    progress.acknowledge(7, 1)
    for last_index in (9, 10, 14):
        assert progress.may_send(3)
        progress.sent(last_index)
    assert not progress.may_send(3)
    assert (progress.next_index, progress.match_index) == (15, 7)
    progress.acknowledge(10, 1)
    assert list(progress.in_flight) == [14]
    assert progress.may_send(3)


def test_a_rejection_while_streaming_goes_back_but_not_below_what_is_held() -> None:
    progress = Progress(7)
    progress.acknowledge(7, 1)
    progress.sent(20)
    progress.reject(0, 9, 1)
    assert (progress.next_index, progress.is_probing, list(progress.in_flight)) == (10, True, [])
    progress.reject(0, 2, 1)
    assert progress.next_index == 8


def test_a_rejection_that_comes_late_or_twice_changes_nothing() -> None:
    progress = Progress(9)
    progress.sent(9)
    progress.reject(8, 4, 1)
    assert (progress.next_index, progress.may_send(3)) == (5, True)
    progress.sent(5)
    for index in (8, 6):
        progress.reject(index, 2, 1)
        assert (progress.next_index, progress.may_send(3)) == (5, False)
    progress.acknowledge(5, 2)
    progress.sent(7)
    progress.reject(4, 2, 2)
    assert (progress.next_index, progress.is_probing, list(progress.in_flight)) == (8, False, [7])


def test_an_older_acknowledgement_takes_nothing_back() -> None:
    progress = Progress(1)
    progress.acknowledge(5, 1)
    progress.acknowledge(3, 1)
    assert (progress.match_index, progress.next_index) == (5, 6)


def test_a_peer_that_has_lost_what_it_held_counts_no_more() -> None:
    """What it said before it acknowledged, or says of what follows, is no evidence of that."""
    progress = Progress(1)
    progress.acknowledge(5, 3)
    for index, round_number in ((5, 3), (6, 4), (0, 4)):
        progress.reject(index, 2, round_number)
        assert (progress.match_index, progress.next_index) == (5, 6)
    progress.reject(5, 2, 4)
    assert (progress.match_index, progress.next_index) == (0, 3)
