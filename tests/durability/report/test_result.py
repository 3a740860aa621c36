"""What a baseline hides, and what it must not hide."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from durability.audit.guarantees import breach
from durability.audit.violation import Violation
from durability.errors import ExitStatus, UnreadableError
from durability.report.document import write_json
from durability.report.result import Baseline, Result


def violation(kind: str = "lost", **changed: Any) -> Violation:
    found = breach(kind, "item 7 is missing")
    return msgspec.structs.replace(found, **{"subject": "a", "tear": "page", **changed})


def run(*violations: Violation, baseline: Path | None = None) -> Result:
    result = Result("crash", violations=list(violations))
    if baseline is not None:
        result.set_aside(Baseline.load(str(baseline)))
    return result


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    path = tmp_path / "baseline.json"
    write_json(run(violation()).document(), str(path))
    return path


@pytest.mark.parametrize(
    ("changed", "known"),
    [
        ({}, True),
        ({"message": "item 9 is missing", "reproduce": "durability replay x"}, True),
        ({"tear": "byte"}, True),
        ({"tear": "none"}, False),
        ({"tear": None}, False),
        ({"subject": "b"}, False),
        ({"kind": "order"}, False),
    ],
)
def test_a_baseline_knows_a_guarantee_of_a_subject_at_its_tear(
    baseline: Path, changed: dict[str, Any], known: bool
) -> None:
    result = run(violation(**changed), baseline=baseline)
    assert (len(result.known), len(result.violations)) == (known, not known)
    assert result.exit_status is (ExitStatus.HELD if known else ExitStatus.VIOLATION)


@pytest.mark.parametrize(
    ("model", "known"),
    [("posix-default", True), ("posix-strict", True), ("ext4-ordered", False), (None, False)],
)
def test_what_a_more_realistic_model_shows_is_news(
    tmp_path: Path, model: str | None, known: bool
) -> None:
    path = tmp_path / "baseline.json"
    rare = violation(tear=None, strongest_model="posix-default")
    write_json(run(rare).document(), str(path))
    result = run(violation(tear=None, strongest_model=model), baseline=path)
    assert result.verdict == ("held" if known else "violation")


def test_a_run_with_a_baseline_is_a_baseline(baseline: Path) -> None:
    second = run(violation(), violation("order"), baseline=baseline)
    assert second.verdict == "violation"
    write_json(second.document(), str(baseline))
    assert run(violation(), violation("order"), baseline=baseline).verdict == "held"


def test_what_is_no_result_is_no_baseline(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{}")
    with pytest.raises(UnreadableError, match="not the JSON of an earlier run"):
        Baseline.load(str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("result", "verdict", "status"),
    [
        (Result("x"), "held", ExitStatus.HELD),
        (Result("x", reasons=["a"]), "inconclusive", ExitStatus.INCONCLUSIVE),
        (Result("x", reasons=["a"], misused=True), "inconclusive", ExitStatus.USAGE),
        (
            Result("x", reasons=["a"], misused=True, violations=[violation()]),
            "violation",
            ExitStatus.VIOLATION,
        ),
    ],
)
def test_the_document_says_what_the_exit_status_says(
    result: Result, verdict: str, status: ExitStatus
) -> None:
    document = result.document()
    assert (document["verdict"], document["exit_status"]) == (verdict, status)
    assert result.exit_status is status
