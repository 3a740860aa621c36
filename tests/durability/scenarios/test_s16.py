"""S16's gate on counts and times that are given, and its two measurements without a limit."""

from functools import partial
from pathlib import Path

import msgspec
import pytest

from durability.campaign.workers import run_alone
from durability.scenarios.s16_latency_gate import RATIO_MAX, Cost, Measured, count_costs, judge
from durability.scenarios.voters import Series
from tests.durability.trace.alone import alone

DUE = (1, 1, 0)
SYNC_US = 200.0


def series(ratio: float, bare_us: float = SYNC_US) -> Series:
    return Series([bare_us * ratio] * 9, [bare_us] * 9, [bare_us] * 9)


def measured(voters: int, ratio: float = 1.0, *more: dict[str, Cost]) -> Measured:
    good = {f"node{number}": DUE for number in range(1, voters + 1)}
    return Measured(voters, [good] * 5 + list(more), series(ratio))


@pytest.mark.parametrize("voters", [1, 3])
def test_one_write_and_one_sync_at_each_in_little_more_time_hold(voters: int) -> None:
    outcome = judge([measured(voters, 1.25)])
    assert outcome.verdict == "held"
    assert outcome.figures[f"voters_{voters}_ratio_p50"] == 1.25
    assert outcome.figures[f"voters_{voters}_syncs_per_proposal"] == voters
    assert outcome.notes == []


@pytest.mark.parametrize(
    "cost", [(1, 2, 0), (2, 1, 0), (1, 0, 0), (1, 1, 1)], ids=["syncs", "writes", "none", "names"]
)
@pytest.mark.parametrize("node", ["node1", "node3"])
def test_another_write_sync_or_name_at_one_voter_is_a_violation(cost: Cost, node: str) -> None:
    costs = {"node1": DUE, "node2": DUE, "node3": DUE, node: cost}
    outcome = judge([measured(1), measured(3, 1.0, costs)])
    assert outcome.verdict == "violation"
    assert "3 voters: 1 of 6 proposals" in outcome.violations[0].message


def test_a_voter_that_stores_nothing_is_a_violation() -> None:
    assert judge([measured(3, 1.0, {"node1": DUE, "node2": DUE})]).verdict == "violation"


def test_more_time_than_permitted_is_a_violation_where_a_sync_takes_time() -> None:
    assert judge([measured(3, RATIO_MAX)]).verdict == "held"
    assert judge([measured(3, RATIO_MAX + 0.01)]).verdict == "violation"
    ram = judge([msgspec.structs.replace(measured(3), series=series(30.0, bare_us=1.5))])
    assert ram.verdict == "held"
    assert "not judged" in ram.notes[0]


def test_the_other_group_does_not_hide_a_violation() -> None:
    assert judge([measured(1, RATIO_MAX + 1), measured(3)]).verdict == "violation"
    assert judge([measured(1), measured(3, RATIO_MAX + 1)]).verdict == "violation"


@pytest.mark.parametrize("voters", [1, 3])
def test_what_a_proposal_costs_each_voter_is_counted_in_its_trace(
    tmp_path: Path, voters: int
) -> None:
    def counted() -> list[dict[str, Cost]]:
        outcome = run_alone(partial(count_costs, str(tmp_path), voters))
        return msgspec.msgpack.decode(outcome, type=list[dict[str, Cost]])

    assert alone(counted) == [{f"node{number}": DUE for number in range(1, voters + 1)}] * 20
