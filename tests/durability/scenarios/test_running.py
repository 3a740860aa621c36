from pathlib import Path

import pytest

from durability.audit.violation import Violation
from durability.errors import MechanismError, UsageError
from durability.scenarios import running
from durability.scenarios.running import run_scenarios
from durability.scenarios.scenario import Conditions, Landing, Outcome
from tests.durability.commands import durability

CONDITIONS = Conditions(seed=3, jobs=1, budget_s=None, directory="/", disk="/", findings="/nowhere")
LANDING = Landing(fault="a", ordered=2, landed=1, evidence="b")


def held(conditions: Conditions) -> Outcome:
    return Outcome(landing=[LANDING], figures={"seed": conditions.seed})


def violated(_: Conditions) -> Outcome:
    lost = Violation(kind="lost", invariant="i", message="m")
    return Outcome(landing=[], figures={}, violations=[lost], reasons=["r"])


def refused(_: Conditions) -> Outcome:
    raise MechanismError("no seccomp")


@pytest.fixture(autouse=True)
def scenarios(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SCENARIOS", {"S01": held, "S02": violated, "S03": refused})


def test_each_has_its_verdict_and_its_evidence() -> None:
    result = run_scenarios(["S01"], CONDITIONS)
    assert result.verdict == "held"
    (found,) = result.figures["scenarios"]
    assert found.keys() == {"id", "verdict", "landing", "figures", "elapsed_s"}
    assert (found["id"], found["verdict"], found["figures"]) == ("S01", "held", {"seed": 3})
    assert found["landing"] == [{"fault": "a", "ordered": 2, "landed": 1, "evidence": "b"}]


def test_one_that_cannot_be_run_does_not_keep_the_others_from_it() -> None:
    result = run_scenarios(["all"], CONDITIONS)
    verdicts = [found["verdict"] for found in result.figures["scenarios"]]
    assert verdicts == ["held", "violation", "inconclusive"]
    assert result.verdict == "violation"
    assert result.reasons == ["S02: r", "S03: no seccomp"]
    assert run_scenarios(["s03", "s01"], CONDITIONS).verdict == "inconclusive"


def test_an_unknown_one_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UsageError, match=r"S99 \(known: S01, S02, S03, all\)"):
        run_scenarios(["S01", "S99"], CONDITIONS)


def test_the_command_knows_them_by_number(tmp_path: Path) -> None:
    done = durability("scenario", "S16", cwd=str(tmp_path))
    assert [found["id"] for found in done.document["scenarios"]] == ["S16"]
    assert durability("scenario", "S99", cwd=str(tmp_path)).status == 2
