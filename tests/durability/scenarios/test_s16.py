"""S16's gate on counts and times that are given, and its two measurements without a limit."""

from pathlib import Path

import pytest

from durability.campaign.workers import run_alone
from durability.scenarios import s16_latency_gate
from durability.scenarios.s16_latency_gate import RATIO_MAX, Series, judge, measure, percentile
from tests.durability.trace.alone import alone

GOOD = [(1, 1, 0)] * 5
SYNC_US = 200.0


def series(ratio: float, bare_us: float = SYNC_US) -> Series:
    return Series([bare_us * ratio] * 9, [bare_us] * 9)


def test_one_write_and_one_sync_in_little_more_time_hold() -> None:
    outcome = judge(GOOD, series(1.25))
    assert outcome.verdict == "held"
    assert outcome.figures["ratio_p50"] == 1.25
    assert outcome.figures["syncs_per_proposal"] == 1.0
    assert outcome.notes == []


@pytest.mark.parametrize(
    "counts", [(1, 2, 0), (2, 1, 0), (1, 0, 0), (1, 1, 1)], ids=["syncs", "writes", "none", "names"]
)
def test_another_write_sync_or_name_is_a_violation(counts: tuple[int, int, int]) -> None:
    outcome = judge([*GOOD, counts], series(1.0))
    assert outcome.verdict == "violation"
    assert "1 of 6 proposals" in outcome.violations[0].message


def test_more_time_than_permitted_is_a_violation_where_a_sync_takes_time() -> None:
    assert judge(GOOD, series(RATIO_MAX)).verdict == "held"
    assert judge(GOOD, series(RATIO_MAX + 0.01)).verdict == "violation"
    ram = judge(GOOD, series(30.0, bare_us=1.5))
    assert ram.verdict == "held"
    assert "not judged" in ram.notes[0]


def test_percentiles_are_times_that_were_measured() -> None:
    times = [float(number) for number in range(1, 101)]
    assert [percentile(times, percent) for percent in (50, 95, 99)] == [51.0, 96.0, 100.0]
    assert percentile([7.0], 99) == 7.0


def test_proposals_and_bare_writes_are_measured_by_turns(tmp_path: Path) -> None:
    found = measure(str(tmp_path), 5)
    assert len(found.propose_us) == len(found.bare_us) == 5
    assert min(*found.propose_us, *found.bare_us) > 0
    sizes = {path.name: path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()}
    # As many bytes each; the log also has its header, the configuration and the leader's entry.
    assert 0 < sizes["00000000000000000001.segment"] - sizes["bare"] < 300


def test_what_a_proposal_costs_is_counted_in_its_trace(tmp_path: Path) -> None:
    import msgspec

    def counted() -> list[tuple[int, int, int]]:
        work = s16_latency_gate._counted
        outcome = run_alone(lambda control: work(str(tmp_path), control))
        return msgspec.msgpack.decode(outcome, type=list[tuple[int, int, int]])

    assert alone(counted) == [(1, 1, 0)] * s16_latency_gate._TRACED_PROPOSALS
