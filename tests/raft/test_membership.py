import pytest

from raft.membership import Membership
from raft.peer import Peer, PeerRole


def peers(voters: str, learners: str = "") -> tuple[Peer, ...]:
    return tuple(
        Peer(int(digit), role, "")
        for digits, role in ((voters, PeerRole.VOTER), (learners, PeerRole.LEARNER))
        for digit in digits
    )


@pytest.mark.parametrize(
    ("voters", "granted", "quorum"),
    [
        ("1", "1", True),
        ("1", "", False),
        ("1", "2", False),
        ("12", "1", False),
        ("12", "12", True),
        ("123", "13", True),
        ("123", "1", False),
        ("1234", "12", False),
        ("1234", "124", True),
        ("12345", "89123", True),
    ],
)
def test_a_quorum_is_a_majority_of_the_voters(voters: str, granted: str, *, quorum: bool) -> None:
    membership = Membership(0, peers(voters, learners="89"))
    assert membership.is_quorum({int(digit) for digit in granted}) is quorum


def test_nobody_is_no_quorum_of_nobody() -> None:
    assert not Membership(0, ()).is_quorum({1})


def test_the_latest_configuration_stored_is_in_effect() -> None:
    membership = Membership(0, ())
    assert (membership.peers, membership.voters) == ((), frozenset())
    membership.store(4, peers("1", "2"))
    assert (membership.peers, set(membership.voters)) == (peers("1", "2"), {1})
    membership.store(9, peers("12"))
    assert (membership.peers, set(membership.voters)) == (peers("12"), {1, 2})


def test_who_may_be_a_member_is_one_now_or_by_a_later_change() -> None:
    membership = Membership(2, peers("19"))
    membership.store(4, peers("1", "2"))
    membership.store(9, peers("13"))
    assert membership.ids_from(3) == {1, 2, 3, 9}
    assert membership.ids_from(4) == membership.ids_from(8) == {1, 2, 3}
    assert membership.ids_from(9) == {1, 3}


def test_the_configuration_as_of_an_index_survives_compaction() -> None:
    membership = Membership(2, peers("1"))
    membership.store(4, peers("12"))
    membership.store(9, peers("123"))
    for compacted in (2, 3, 4, 8):
        membership.compact(compacted)
        for index in range(compacted, 12):
            expected = "1" if index < 4 else "12" if index < 9 else "123"
            assert membership.as_of(index) == peers(expected)
        assert membership.voters == {1, 2, 3}
    membership.compact(9)
    assert membership.as_of(9) == membership.peers == peers("123")
