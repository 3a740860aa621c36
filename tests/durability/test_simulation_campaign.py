import pytest

from durability.simulation.options import draw_options
from durability.simulation.run import replay
from durability.simulation_campaign import simulate
from raft.member import Member
from raft.replication import Replication

KEYS = {
    "seeds",
    "steps",
    "events",
    "event_mix",
    "invariant_checks",
    "seeds_with_leader",
    "max_term",
    "distinct_states",
    "digest",
    "events_per_second",
    "sometimes",
}


def test_a_campaign_counts_its_runs() -> None:
    campaign = simulate(range(5), steps=500)
    summary = campaign.to_json()
    assert set(summary) == KEYS
    assert summary["seeds"] == summary["seeds_with_leader"] == 5
    assert campaign.violations() == []
    assert campaign.steps > 5 * 500
    assert campaign.events.total() == sum(campaign.events.values())
    assert campaign.invariant_checks > campaign.steps
    assert len(campaign.states) > 100
    assert campaign.max_term >= 2


def test_the_result_does_not_depend_on_the_number_of_processes() -> None:
    one, two = (simulate(range(6), steps=300, jobs=jobs).to_json() for jobs in (1, 2))
    for summary in (one, two):
        del summary["events_per_second"]
    assert one == two
    assert one["digest"] != simulate(range(1, 7), steps=300).digest


def test_what_breaks_is_made_small_and_still_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Replication, "quorum_index", lambda self, _: self._durable_index)
    campaign = simulate(range(1), steps=500)
    (finding,) = campaign.findings
    assert finding.violation.kind == "P10"
    assert "--seeds 0..0" in finding.violation.reproduce
    assert len(finding.shrunk) < finding.step
    (violation,) = campaign.violations()
    assert (violation.property, violation.seed) == ("P10", 0)
    assert violation.shrunk_events == len(finding.shrunk) < 30


def test_most_short_runs_of_five_nodes_see_a_leader() -> None:
    campaign = simulate(range(100), nodes=5, steps=200, faults="none", settle=False)
    assert campaign.steps == 100 * 200
    assert campaign.seeds_with_leader >= 95


def test_a_shrunk_run_breaks_the_same_property(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Member, "_would_elect", lambda _self, _message: True)
    findings = simulate(range(8), steps=1500).findings
    assert findings
    for finding in findings:
        options = draw_options(finding.seed, "swarm")
        again = replay(options, finding.seed, list(finding.shrunk))
        assert again.violations[0].kind == finding.violation.kind
        assert again.violation_step == len(finding.shrunk) < finding.step
