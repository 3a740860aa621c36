"""Each case is judged by the rules of its run, and a bad one does not hide the others."""

import os
import re
from pathlib import Path

import pytest

from durability import replay as replaying
from durability.audit.guarantees import breach
from durability.audit.judgement import Judgement
from durability.errors import ExitStatus, UnreadableError
from durability.replay import cases, replay
from durability.report.finding import UNFINISHED, Finding, keep
from durability.trace.records import Open, Output, Write
from durability.trace.trace import Trace

DESCRIPTION = """
name = "plain"

[run]
command = ["true"]
ack = '^ack (?P<id>.+)$'
item = '^item (?P<id>.+)$'

[recover]
command = ["cat", "{data}/log"]
item = '^(?P<id>.+)$'
"""


def kept(folder: Path, said: bytes, there: bytes, later: list[str] | None = None) -> str:
    """Keep a finding of a program that recovers what stands in its log."""
    description = folder / "plain.toml"
    description.write_text(DESCRIPTION)
    finding = Finding(
        target=str(description),
        at="1",
        tear="none",
        seed=1,
        violations=[breach("lost", "")],
        later=later or [],
    )
    opened = Open(1, 1, b"log", os.O_CREAT, created=True)
    trace = Trace([], [opened, Output(said), Write(1, 1, b"log", 0, there, len(there))])
    return keep(finding, trace, "plain", str(folder / "findings"))


def test_a_case_passes_or_fails(tmp_path: Path) -> None:
    good = kept(tmp_path, b"item a\nack a\n", b"a\n")
    bad = kept(tmp_path, b"item a\nack a\nitem b\nack b\n", b"a\n")
    result = replay([str(tmp_path)])
    assert result.figures == {"cases": 2, "passed": 1, "failed": [bad]}
    (violation,) = result.violations
    assert (violation.kind, violation.subject) == ("lost", "plain")
    assert violation.reproduce == f"durability replay {bad}"
    assert replay([good]).verdict == "held"


@pytest.mark.parametrize("later", [["b"], []])
def test_late_announcements_are_a_fault_as_in_the_run(tmp_path: Path, later: list[str]) -> None:
    kept(tmp_path, b"item a\nack a\n", b"a\nb\n", later)
    result = replay([str(tmp_path)])
    assert [found.kind for found in result.violations] == ([] if later else ["invented"])
    assert bool(result.reasons) == bool(later)


def test_a_bad_case_is_a_reason_and_the_others_are_replayed(tmp_path: Path) -> None:
    bad = kept(tmp_path, b"", b"")
    Path(bad, "trace").unlink()
    other = kept(tmp_path, b"item a\nack a\n", b"")
    result = replay([str(tmp_path)])
    assert result.figures == {"cases": 2, "passed": 0, "failed": [other]}
    (reason,) = result.reasons
    assert reason.startswith(f"{bad}: ")
    assert result.exit_status is ExitStatus.VIOLATION
    assert replay([bad]).exit_status is ExitStatus.USAGE


def test_what_is_still_being_written_is_no_case(tmp_path: Path) -> None:
    case = kept(tmp_path, b"", b"")
    (tmp_path / "findings" / f".1{UNFINISHED}").mkdir()
    (tmp_path / "findings" / f".1{UNFINISHED}" / "finding.json").write_text("{")
    assert list(cases(str(tmp_path))) == [case]
    with pytest.raises(UnreadableError):
        list(cases(str(tmp_path / "none")))


def test_an_interruption_leaves_the_part_that_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        kept(tmp_path, b"", b"")
    judgements = iter([Judgement(0, 0, [], [breach("lost", "")], [], [])])

    def interrupted(_folder: str) -> Judgement:
        for judgement in judgements:
            return judgement
        raise KeyboardInterrupt

    monkeypatch.setattr(replaying, "replay_case", interrupted)
    result = replay([str(tmp_path)])
    assert result.verdict == "violation"
    assert re.fullmatch("interrupted after 1 of 3 cases", result.reasons[-1])
