import pytest

from raft.replication import Replication


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ([5], 5),
        ([5, 7], 5),
        ([5, 7, 9], 7),
        ([0, 0, 9], 0),
        ([1, 5, 7, 9], 5),
        ([1, 5, 7, 9, 9], 7),
    ],
)
def test_the_quorum_index_is_stored_by_a_majority(stored: list[int], expected: int) -> None:
    replication = Replication()
    for node_id, index in enumerate(stored):
        replication.stored(node_id, index)
    replication.stored(99, 1000)
    assert replication.quorum_index(range(len(stored))) == expected


def test_a_voter_that_was_never_heard_has_stored_nothing() -> None:
    replication = Replication()
    replication.stored(1, 5)
    assert replication.quorum_index([1, 2]) == 0


def test_an_older_acknowledgement_takes_nothing_back() -> None:
    replication = Replication()
    replication.stored(1, 5)
    replication.stored(1, 3)
    assert replication.quorum_index([1]) == 5
