"""Power cuts: what is found, under which model, made how small; and that what is right holds."""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durability.campaign.cycle import Plan
from durability.campaign.loss_explorer import Explored
from durability.cli import main
from durability.crash.loss_states import Draw, LossStates
from durability.crash.models import Model
from durability.errors import InconclusiveError
from durability.power_loss import LossScope, power_loss
from durability.report.crash_state import LossViolation
from durability.report.result import Result
from durability.targets import catalogue, functions
from durability.targets.contract import Target
from durability.trace.trace import Trace
from tests.durability.commands import ROOT, durability, program
from tests.stores import log_store

HELD, VIOLATION, USAGE, INCONCLUSIVE = range(4)
STORE = f"{ROOT}/tests/stores/log_store.py"


def explored(target: Target, tmp_path: Path, *models: str, states: int = 300) -> Result:
    plan = Plan(
        target_name="",
        seed=1,
        mechanism="seccomp",
        tear="none",
        directory=str(tmp_path),
        findings=str(tmp_path / "findings"),
    )
    seen: list[Explored] = []
    result = power_loss(target, plan, LossScope(models=models, states=states), seen.append)
    assert sum(one.states for one in seen) == result.figures["explored"]
    return result


@pytest.mark.parametrize("name", ["reference", "reference-follower"])
def test_the_built_in_node_holds(name: str, tmp_path: Path) -> None:
    models = ("prefix", "ext4-ordered", "xfs", "btrfs", "posix-strict")
    result = explored(catalogue.find(name), tmp_path, *models)
    assert result.verdict == "held", result.document()
    for model in models:
        figures = result.figures["models"][model]
        assert figures["violations"] == 0
        assert figures["explored"] > 100
        assert figures["legal"] >= figures["distinct"] > 50
    assert result.figures["promised"] > 100
    assert not (tmp_path / "findings").exists()


def test_a_count_that_is_contradicted_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durability.crash.plan.Plan.count", lambda _: (3, False))
    store = functions.target(log_store.good, log_store.recover)
    result = explored(store, tmp_path, "xfs", states=20)
    assert result.verdict == "inconclusive"
    assert any(reason.endswith("but 3 counted as all") for reason in result.reasons)


def test_a_state_is_made_small_and_the_most_realistic_model_is_told(tmp_path: Path) -> None:
    store = functions.target(log_store.unsynced, log_store.recover)
    result = explored(store, tmp_path, "posix-default")
    (found,) = result.violations
    assert isinstance(found, LossViolation)
    assert found.model == "posix-default"
    assert found.strongest_model == "ext4-datajournal"
    assert found.kind == "audit"
    # Its first item acknowledged, one write is lost, and what was issued after it: no more.
    assert {one.path for one in found.lost} == {"log"}
    assert len(found.lost) <= 2
    assert "2 bytes of log at" in found.lost[0].operation
    assert found.lost[0].call.startswith("write log at")
    # The line of the store that wrote it, and nothing of ours.
    (source,) = {one.source for one in found.lost}
    assert source == f"tests/stores/log_store.py:{_line_of('unsynced', 'os.write(')}"
    assert f"({source})" in found.message


def _line_of(function: str, text: str) -> int:
    """Return the number of the first line with a text in a function of the store."""
    lines, first = inspect.getsourcelines(getattr(log_store, function))
    return next(number for number, line in enumerate(lines, start=first) if text in line)


@pytest.mark.parametrize("error", [InconclusiveError("the disk is full"), KeyboardInterrupt()])
def test_what_was_seen_is_told_though_it_cannot_be_made_small(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> bytes:
        raise error

    monkeypatch.setattr("durability.campaign.loss_tally.run_alone", fail)
    store = functions.target(log_store.unsynced, log_store.recover)
    result = explored(store, tmp_path, "posix-default")
    assert result.verdict == "violation"
    (found,) = result.violations
    assert (found.kind, found.strongest_model) == ("audit", "posix-default")
    assert result.reasons == [f"not made small: {str(error) or 'interrupted'}"]


def test_a_model_of_which_no_state_was_looked_at_has_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OfXfsNone(LossStates):
        def __init__(self, model: Model, trace: Trace, **how: Any) -> None:
            super().__init__(model, trace, **how)
            self._is_xfs = model.name == "xfs"

        def __iter__(self) -> Iterator[Draw]:
            return iter(()) if self._is_xfs else super().__iter__()

    monkeypatch.setattr("durability.power_loss.LossStates", OfXfsNone)
    result = explored(catalogue.find("reference"), tmp_path, "prefix", "xfs")
    assert result.verdict == "inconclusive"
    assert result.reasons == ["no state of xfs was explored: the time was too short"]


def test_what_only_posix_permits_is_labelled(tmp_path: Path) -> None:
    store = functions.target(log_store.unsynced_names, log_store.recover)
    assert explored(store, tmp_path, "ext4-ordered", "xfs", "btrfs").verdict == "held"
    (found,) = explored(store, tmp_path, "posix-default").violations
    assert isinstance(found, LossViolation)
    assert found.strongest_model == "posix-default"
    assert "portability" in found.message
    assert any(one.operation.startswith("creation of log") for one in found.lost)


def test_the_same_seed_looks_at_the_same_states(tmp_path: Path) -> None:
    store = functions.target(log_store.unsynced, log_store.recover)
    first, second = (explored(store, tmp_path, "ext4-ordered") for _ in range(2))
    assert first.figures["models"] == second.figures["models"]
    assert first.violations[0].message == second.violations[0].message


def test_a_program_described_in_toml_is_a_target(tmp_path: Path) -> None:
    done = durability(
        "powerloss", program("good_append"), "--states", "30", "--measure", "1", cwd=str(tmp_path)
    )
    assert done.status == HELD, done.stdout
    assert set(done.document["models"]) == {"ext4-ordered", "xfs", "btrfs"}


def test_the_command_keeps_a_file_that_replays(tmp_path: Path) -> None:
    target = f"{STORE}:unsynced:recover"
    done = durability("powerloss", target, "--model", "xfs", "--seed", "1", cwd=str(tmp_path))
    assert done.status == VIOLATION, done.stdout
    keys = {"target", "operations", "acks", "models", "states_per_second", "untraceable"}
    assert keys <= done.document.keys()
    (violation,) = done.document["violations"]
    assert {"model", "strongest_model", "persisted", "lost", "confirmed"} <= violation.keys()
    assert violation["reproduce"] in done.stdout
    path = violation["reproduce"].split()[-1]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / path).rename(elsewhere / "case.crash-state")
    for what in ("elsewhere", "elsewhere/case.crash-state"):
        replayed = durability("replay", what, cwd=str(tmp_path))
        assert replayed.status == VIOLATION
        assert replayed.document["violations"][0]["kind"] == "audit"
        assert replayed.document["cases"] == 1


def test_a_case_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.crash-state").write_bytes(b"none")
    done = durability("replay", "x.crash-state", cwd=str(tmp_path))
    assert done.status == USAGE
    assert "not a crash state" in json.dumps(done.document)


def test_all_states_of_a_short_run(tmp_path: Path) -> None:
    target = f"{STORE}:good:recover"
    done = durability("powerloss", target, "--exhaustive", cwd=str(tmp_path))
    assert done.status == HELD
    for figures in done.document["models"].values():
        assert not figures["legal_is_lower_bound"]
        assert figures["legal"] == figures["distinct"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("reference", "--model", "ext5"), USAGE),
        (("reference", "--exhaustive", "--states", "3"), USAGE),
        ((f"{STORE}:missing:recover",), USAGE),
        ((f"{STORE}:silent:recover",), INCONCLUSIVE),
        (("reference", "--states", "100000", "--budget", "0.1"), INCONCLUSIVE),
    ],
)
def test_what_shows_nothing_is_no_success(
    arguments: tuple[str, ...], status: int, tmp_path: Path
) -> None:
    assert durability("powerloss", *arguments, cwd=str(tmp_path)).status == status


def test_the_models_are_listed(tmp_path: Path) -> None:
    done = durability("powerloss", "--model", "list", cwd=str(tmp_path))
    assert done.status == HELD
    assert "ext4-ordered" in done.stdout


def test_the_command_tells_how_it_gets_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("durability.report.progress._LINE_INTERVAL_S", 0.0)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="0"):
        main(["powerloss", f"{STORE}:good:recover", "--jobs", "1"])
    told = capfd.readouterr().err.splitlines()
    assert any("states: " in line and " promised, " in line for line in told)
