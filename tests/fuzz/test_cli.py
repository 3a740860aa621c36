import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fuzz.campaign import PROJECT, Run
from fuzz.cli import main
from fuzz.corpus import Corpus
from fuzz.errors import EmptyRunError
from fuzz.finding import file_name
from fuzz.mutants import survival
from fuzz.mutants.hunt import Hunt
from fuzz.mutants.mechanical import SUBJECTS
from fuzz.mutants.planted import PLANTED, PlantedDefect
from fuzz.mutants.survival import Fate
from fuzz.report import Found
from fuzz.target import Target
from fuzz.targets import TARGETS, load

KEYS = ["command", "verdict", "seed", "elapsed_s"]


def invoke(directory: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    document = directory / "result.json"
    result = CliRunner().invoke(main, [*arguments, "--json", str(document)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, json.loads(document.read_text()), result.output


def fake_runs(monkeypatch: pytest.MonkeyPatch, *findings: Found, executions: int = 10) -> None:
    def fuzz(target: str, *_: object, **__: object) -> Run:
        return Run(target, executions, 2.0, 1000, list(findings), [(1, 4), (executions, 1000)])

    monkeypatch.setattr("fuzz.runs.fuzz", fuzz)


def test_a_run_without_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_runs(monkeypatch)
    status, document, output = invoke(tmp_path, "run", "peer", "--runs", "20", "--seed", "5")
    assert status == 0
    assert set(KEYS) <= document.keys()
    assert (document["command"], document["verdict"], document["seed"]) == ("run", "held", 5)
    assert (document["target"], document["executions"], document["coverage"]) == ("peer", 20, 1000)
    assert (document["exec_per_cpu_s"], document["crashes"]) == (5, [])
    assert output.endswith("HELD: 20 inputs tested, none breaks a law.\n")


def test_all_targets_in_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_runs(monkeypatch)
    status, document, _ = invoke(tmp_path, "run", "all", "--mutator", "struct", "--seconds", "1")
    assert status == 0
    assert [run["target"] for run in document["targets"]] == list(TARGETS)
    assert document["executions"] == 10 * len(TARGETS)


def test_a_finding_is_kept_once_with_the_line_that_shows_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_runs(monkeypatch, Found(9, "ValueError", "raft/peer.py:1 in decode", "text", b"bad"))
    arguments = ("run", "peer", "--runs", "20", "--corpus", str(tmp_path))
    status, document, output = invoke(tmp_path, *arguments)
    assert status == 1
    assert document["verdict"] == "violation"
    (crash,) = document["crashes"]
    path = tmp_path / "peer" / "regressions" / file_name(b"bad")
    assert path.read_bytes() == b"bad"
    assert crash["reproduce"] == f"raft-fuzz replay peer {path}"
    assert crash["reproduce"] in output
    assert {"kind", "invariant", "message", "reproduce"} < set(document["violations"][0])


def test_a_known_finding_does_not_fail_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("run", "peer", "--runs", "20", "--corpus", str(tmp_path))
    fake_runs(monkeypatch, Found(9, "ValueError", "raft/peer.py:1 in decode", "text", b"bad"))
    invoke(tmp_path, *arguments)
    baseline = tmp_path / "baseline.json"
    (tmp_path / "result.json").rename(baseline)
    fake_runs(monkeypatch, Found(9, "ValueError", "raft/peer.py:7 in decode", "more", b"worse"))
    status, document, _ = invoke(tmp_path, *arguments, "--baseline", str(baseline))
    assert (status, document["verdict"], len(document["known"])) == (0, "held", 1)
    fake_runs(monkeypatch, Found(9, "KeyError", "raft/peer.py:7 in decode", "news", b"new"))
    assert invoke(tmp_path, *arguments, "--baseline", str(baseline))[0] == 1


def test_the_page_shows_how_coverage_grew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_runs(monkeypatch)
    page, junit = tmp_path / "page.html", tmp_path / "junit.xml"
    arguments = ("run", "peer", "--runs", "20", "--report", str(page), "--junit", str(junit))
    status, _, printed = invoke(tmp_path, *arguments)
    assert status == 0
    assert "raft-fuzz run" in printed
    text = page.read_text()
    assert "<p>raft-fuzz run</p>" in text
    assert "Growth of peer" in text
    # Twice 10 executions: 4 after the first, 1000 after the tenth, and as much from then on.
    assert 'd="M32.0 199.2 H320.0 V0.0 H352.0 V0.0 H640.0 V0.0"' in text
    assert 'name="raft-fuzz run"' in junit.read_text()


def test_a_budget_that_ends_leaves_targets_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_runs(monkeypatch)
    monkeypatch.setattr("fuzz.cli.run_all", lambda *_: iter([(Run("peer", 5, 1.0, 9), "")]))
    status, document, _ = invoke(tmp_path, "run", "all", "--runs", "20", "--budget", "1")
    assert status == 0
    assert len(document["notes"]) == len(TARGETS) - 1


@pytest.mark.parametrize("kind", ["planted", "mechanical", "all"])
def test_a_budget_that_ends_before_the_first_mutant_has_shown_nothing(
    tmp_path: Path, kind: str
) -> None:
    status, document, output = invoke(tmp_path, "mutants", "--kind", kind, "--budget", "0.000001")
    assert (status, document["verdict"], document["notes"]) == (3, "inconclusive", [])
    assert len(document["reasons"]) == (2 if kind == "all" else 1)
    assert all(": 0 of " in reason for reason in document["reasons"])
    assert (document["mutants"], document["found"], document["total"]) == ([], 0, 0)
    assert ("mechanical" in document) == (kind != "planted")
    assert "HELD" not in output


def test_a_budget_that_ends_before_the_first_target_has_shown_nothing(tmp_path: Path) -> None:
    status, document, _ = invoke(tmp_path, "run", "all", "--runs", "20", "--budget", "0.000001")
    assert (status, document["executions"], document["notes"]) == (3, 0, [])
    assert document["reasons"] == [f"{target}: the budget ended first" for target in TARGETS]


@pytest.mark.parametrize(("named", "status"), [(False, 0), (True, 3)])
def test_a_budget_that_ends_leaves_mutants_out_unless_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, named: bool, status: int
) -> None:
    first, second, *_ = PLANTED
    done = Hunt(first.name, first.target, "", True, 7, {"replay": 7}, {}, {}, "", 1.0)
    monkeypatch.setattr("fuzz.cli.spread", lambda *_: iter([done]))
    names = (first.name, second.name) if named else ("--kind", "planted")
    got, document, _ = invoke(tmp_path, "mutants", *names, "--budget", "1")
    assert (got, document["found"], document["total"]) == (status, 1, 1)
    (left_out,) = document["reasons" if named else "notes"]
    assert left_out.startswith("planted defects: 1 of ")


def test_mutants_that_survive_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fates = {True: Fate("told", "peer"), False: Fate("not told", "")}
    monkeypatch.setattr("fuzz.cli.SUBJECTS", {"m": ("peer",)})
    monkeypatch.setattr("fuzz.cli.mutants", lambda _: [True, False])
    monkeypatch.setattr(survival, "seal_fate", lambda told, *_: fates[told])
    status, document, output = invoke(tmp_path, "mutants", "--kind", "mechanical")
    assert status == 3
    assert document["mechanical"]["survived"] == ["not told"]
    assert (document["mechanical"]["killed"], document["mechanical"]["total"]) == (1, 2)
    assert "survived: not told" in output
    assert document["reasons"] == ["50.0 % of the mechanical mutants were noticed"]


def test_mutants_on_a_machine_where_everything_fails_are_not_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(name: str) -> Target:
        raise OSError(f"no directory for {name}")

    monkeypatch.setattr("fuzz.mutants.trial.load", fails)
    monkeypatch.setattr("fuzz.cli.SUBJECTS", {"raft.peer": ("peer",)})
    status, document, _ = invoke(tmp_path, "mutants", "--kind", "mechanical")
    assert (status, document["mechanical"]["killed"]) == (3, 0)
    assert document["mechanical"]["unfinished"]
    assert all("as it is, unchanged" in why for why in document["mechanical"]["unfinished"])


def test_an_empty_run_is_inconclusive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_runs(monkeypatch, executions=0)
    status, document, _ = invoke(tmp_path, "run", "peer", "--runs", "20")
    assert (status, document["verdict"]) == (3, "inconclusive")

    def empty(*_: object, **__: object) -> Run:
        raise EmptyRunError("nothing was instrumented")

    monkeypatch.setattr("fuzz.runs.fuzz", empty)
    status, document, _ = invoke(tmp_path, "run", "peer", "--runs", "20")
    assert (status, document["reasons"]) == (3, ["nothing was instrumented"])


def test_an_interrupt_is_inconclusive_and_keeps_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> Run:
        raise KeyboardInterrupt

    monkeypatch.setattr("fuzz.cli.run_all", interrupted)
    status, document, _ = invoke(tmp_path, "run", "peer", "--runs", "20")
    assert (status, document["verdict"]) == (3, "inconclusive")


def test_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, document, _ = invoke(tmp_path, "replay", "peer")
    cases = len(Corpus.find().files("peer"))
    assert (status, document["cases"], document["passed"]) == (0, cases, cases)

    def check(data: bytes) -> None:
        if data == b"bad":
            raise ValueError("it is bad")

    target = Target(check=check, probe=check, layout=load("peer").layout)
    monkeypatch.setattr("fuzz.replay.load", lambda _: target)
    bad, good = tmp_path / "bad", tmp_path / "good"
    bad.write_bytes(b"bad")
    good.write_bytes(b"good")
    status, document, output = invoke(tmp_path, "replay", "peer", str(bad), str(good))
    assert (status, document["failed"]) == (1, [str(bad)])
    assert f"raft-fuzz replay peer {bad}" in output


def test_a_replay_of_nothing_is_inconclusive(tmp_path: Path) -> None:
    status, document, _ = invoke(tmp_path, "replay", "peer", "--corpus", str(tmp_path))
    assert (status, document["cases"]) == (3, 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "peer", "/nonexistent/file"),
        ("replay", "peer", "--corpus", "/nonexistent"),
        ("mutants", "no-such-defect"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    status, document, _ = invoke(tmp_path, *arguments)
    assert status == 2
    assert document["verdict"] == "inconclusive"


def test_an_unknown_target_is_wrong_usage() -> None:
    assert CliRunner().invoke(main, ["run", "nothing"]).exit_code == 2


def test_the_branches_of_one_target_are_counted(tmp_path: Path) -> None:
    pytest.importorskip("coverage")
    status, document, _ = invoke(tmp_path, "coverage", "peer")
    (module,) = document["modules"]
    assert status == 0
    assert module["module"] == "raft.peer"
    # What decodes a list of peers has a target of its own.
    assert 8 <= module["covered"] < module["branches"]


def test_every_branch_of_every_decoder_is_covered_from_the_corpus(tmp_path: Path) -> None:
    pytest.importorskip("coverage")
    _, document, _ = invoke(tmp_path, "coverage", "all")
    missing = {module["module"]: module["missing"] for module in document["modules"]}
    # The mechanical mutants' subjects, and what reads only what a person has written or recorded.
    readers = (
        *SUBJECTS,
        "durability.targets.description",
        "durability.targets.program",
        "durability.trace.trace",
    )
    assert {module: missing[module] for module in readers} == {module: [] for module in readers}
    for module in readers:
        assert "pragma: no" not in (PROJECT / f"{module.replace('.', '/')}.py").read_text()


def test_a_technique_that_does_not_end_is_told_in_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hunt(defect: PlantedDefect, *_: object, **__: object) -> Hunt:
        techniques = {"replay": 0, "struct": 0, "default": 7 * (defect is PLANTED[0])}
        found = defect is PLANTED[0]
        unfinished = {"struct": "it was killed"}
        return Hunt(
            defect.name, defect.target, "", found, 7 * found, techniques, {}, unfinished, "", 1.0
        )

    monkeypatch.setattr("fuzz.cli.hunt", hunt)
    names = [defect.name for defect in PLANTED[:2]]
    status, document, output = invoke(tmp_path, "mutants", *names, "--compare")
    assert (status, document["verdict"], document["found"]) == (3, "inconclusive", 1)
    assert re.search(rf"{names[0]} +replay +-  struct +\?  default +7\n", output)
    assert f"{names[0]}: struct: it was killed" in document["notes"]
    assert f"{names[1]}: struct: it was killed" in document["reasons"]
    assert f"{names[1]} was not found" in document["reasons"]
