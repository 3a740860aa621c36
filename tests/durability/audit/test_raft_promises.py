"""What a Raft node promised beyond items: one known-good course, and each way to break it."""

from collections.abc import Callable

import pytest

from durability.audit.peer import Peer
from durability.audit.raft_promises import RaftPromises
from durability.audit.recovered import DirectoryAudit

WORKLOAD = ["bootstrapped", "vote 1 1", "item a", "ack a", "vote 3 0", "vote 3 1", "item b"]
RECOVERY = ["state 3 1 4 1 5 4", "item a", "item b", "elected 4", "accepted c"]
ME = (Peer(1, "voter", "a:1"),)


def directory(term: int, last_index: int, voted_for: int | None = 1) -> DirectoryAudit:
    return DirectoryAudit(
        path="d",
        format="v2",
        term=term,
        voted_for=voted_for,
        last_index=last_index,
        snapshot_index=4,
        peers=ME,
        node_id=1,
    )


def kinds(
    workload: list[str], recovery: list[str], before: DirectoryAudit, after: DirectoryAudit
) -> list[str]:
    promises = RaftPromises()
    for line in workload:
        promises.hear(f"{line}\n")
    judged = promises.judge([f"{line}\n" for line in recovery], before, after)
    assert all(violation.message for violation in judged)
    return [violation.kind for violation in judged]


def test_a_node_that_keeps_its_promises() -> None:
    assert kinds(WORKLOAD, RECOVERY, directory(3, 5), directory(4, 7)) == []


def test_a_fresh_node_that_recovery_bootstraps() -> None:
    before = DirectoryAudit(path="d", format="empty")
    recovery = ["state 0 0 0 1 0 0", "bootstrapped", "elected 1", "accepted c"]
    assert kinds([], recovery, before, directory(1, 3)) == []


def test_a_term_that_became_durable_without_being_told() -> None:
    """Killed between the write and the line that would have reported it."""
    recovery = ["state 4 1 4 1 5 4", "elected 5", "accepted c"]
    assert kinds(WORKLOAD, recovery, directory(4, 5), directory(5, 7)) == []


def test_a_promised_term_that_is_gone() -> None:
    recovery = ["state 2 1 4 1 5 4", "elected 4", "accepted c"]
    assert kinds(WORKLOAD, recovery, directory(2, 5), directory(4, 7)) == ["term-regressed"]


def test_a_recovered_term_that_is_gone_at_the_end() -> None:
    assert kinds(WORKLOAD, RECOVERY, directory(3, 5), directory(3, 7)) == ["term-regressed"]


@pytest.mark.parametrize("candidate", [2, None])
def test_a_promised_vote_that_is_another_now(candidate: int | None) -> None:
    recovery = [f"state 3 {candidate or 0} 4 1 5 4", *RECOVERY[1:]]
    before = directory(3, 5, voted_for=candidate)
    assert kinds(WORKLOAD, recovery, before, directory(4, 7)) == ["vote-changed"]


def test_two_votes_in_one_term_before_any_crash() -> None:
    workload = [*WORKLOAD, "vote 4 2", "vote 4 1"]
    recovery = ["state 4 1 4 1 5 4", "elected 5", "accepted c"]
    assert kinds(workload, recovery, directory(4, 5), directory(5, 7)) == ["vote-changed"]


def test_a_vote_for_another_than_itself_in_the_term_it_was_elected_in() -> None:
    after = directory(4, 7, voted_for=2)
    assert kinds(WORKLOAD, RECOVERY, directory(3, 5), after) == ["vote-changed"]


def test_an_acknowledged_bootstrap_that_is_gone() -> None:
    before = DirectoryAudit(path="d", format="empty")
    recovery = ["state 0 0 0 1 0 0", "bootstrapped", "elected 1", "accepted c"]
    assert kinds(["bootstrapped"], recovery, before, directory(1, 3)) == ["not-a-member"]


def test_a_bootstrap_repeated_over_a_configuration() -> None:
    recovery = [RECOVERY[0], "bootstrapped", *RECOVERY[1:]]
    assert kinds(WORKLOAD, recovery, directory(3, 5), directory(4, 7)) == ["not-a-member"]


@pytest.mark.parametrize("when", ["at rest", "after recovery"])
def test_a_configuration_without_the_node(when: str) -> None:
    before, after = directory(3, 5), directory(4, 7)
    (before if when == "at rest" else after).peers = (Peer(2, "voter", "a:1"),)
    assert kinds(WORKLOAD, RECOVERY, before, after) == ["not-a-member"]


@pytest.mark.parametrize(
    "recovery",
    [
        [RECOVERY[0], "accepted c"],
        [RECOVERY[0], "elected soon", "accepted c"],
        [RECOVERY[0], "elected 3", "accepted c"],
    ],
)
def test_a_node_that_does_not_lead_again(recovery: list[str]) -> None:
    assert kinds(WORKLOAD, recovery, directory(3, 5), directory(4, 7)) == ["not-elected"]


def test_a_node_that_accepts_nothing() -> None:
    recovery = RECOVERY[:-1]
    assert kinds(WORKLOAD, recovery, directory(3, 5), directory(4, 7)) == ["not-accepting"]


def test_a_proposal_that_was_accepted_and_not_stored() -> None:
    assert kinds(WORKLOAD, RECOVERY, directory(3, 5), directory(4, 5)) == ["not-accepting"]


def test_a_commit_index_beyond_the_log() -> None:
    recovery = ["state 3 1 6 1 5 4", *RECOVERY[1:]]
    assert kinds(WORKLOAD, recovery, directory(3, 5), directory(4, 7)) == ["commit-beyond-log"]


@pytest.mark.parametrize(
    "report",
    [
        "state 3 1 4 1 6 4",
        "state 3 1 4 1 5 3",
        "state 4 1 4 1 5 4",
        "state 3 1 4 1",
        "state x 1 4 1 5 4",
    ],
)
def test_a_report_that_is_not_what_the_directory_holds(report: str) -> None:
    recovery = [report, "elected 5", "accepted c"]
    assert kinds(WORKLOAD, recovery, directory(3, 5), directory(5, 7)) == ["report-disagrees"]


def test_each_difference_is_named() -> None:
    promises = RaftPromises()
    (violation,) = promises.judge(
        ["state 3 1 0 1 6 4", "elected 4", "accepted c"], directory(3, 5), directory(4, 8)
    )
    assert violation.message == "the node reports last index 6, the directory holds 5"


def _unreadable() -> DirectoryAudit:
    audit = DirectoryAudit(path="d", format="v2")
    audit.violate("corrupt", "metadata: the crc is wrong")
    return audit


@pytest.mark.parametrize(
    ("before", "after"),
    [(_unreadable, lambda: directory(4, 7)), (lambda: directory(3, 5), _unreadable)],
)
def test_what_cannot_be_read_is_not_compared(
    before: Callable[[], DirectoryAudit], after: Callable[[], DirectoryAudit]
) -> None:
    """That it cannot be read is the audit's own violation, and not repeated as five others."""
    assert kinds(WORKLOAD, RECOVERY, before(), after()) == []


@pytest.mark.parametrize(
    "line", ["vote", "vote 1", "vote 9 x", "vote ٩ 1", "voted 9 1", "", "vote -9 1"]
)
def test_other_lines_promise_nothing(line: str) -> None:
    assert kinds([*WORKLOAD, line], RECOVERY, directory(3, 5), directory(4, 7)) == []
