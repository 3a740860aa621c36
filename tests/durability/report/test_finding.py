"""A finding is on disk whole or not at all, whatever the disk does meanwhile."""

import os
from pathlib import Path

import pytest

from durability.audit.guarantees import breach
from durability.errors import CannotKeepError
from durability.report.finding import Finding, copy_crashed, keep, load
from durability.trace import trace as traces
from durability.trace.records import Open, Write
from durability.trace.trace import Trace

TRACE = Trace(
    [], [Open(1, 1, b"log", os.O_CREAT, created=True), Write(1, 1, b"log", 0, b"content", 7)]
)


def finding(kind: str = "lost") -> Finding:
    violations = [breach(kind, "item 7 is missing")]
    return Finding(target="x", at="7", tear="none", seed=1, violations=violations, later=["8"])


def test_what_is_kept_can_be_read_again(tmp_path: Path) -> None:
    folder = keep(finding(), TRACE, "my store", str(tmp_path / "new" / "findings"))
    assert folder == str(tmp_path / "new" / "findings" / "my-store-lost-7")
    assert load(folder) == (finding(), TRACE)
    (tmp_path / "copy").mkdir()
    copy_crashed(folder, str(tmp_path / "copy"))
    assert (tmp_path / "copy" / "log").read_bytes() == b"content"


def test_findings_of_one_name_do_not_meet(tmp_path: Path) -> None:
    (tmp_path / "x-lost-7-2").write_text("a file of the user's")
    names = [os.path.basename(keep(finding(), TRACE, "x", str(tmp_path))) for _ in range(3)]
    assert names == ["x-lost-7", "x-lost-7-3", "x-lost-7-4"]
    assert sorted(os.listdir(tmp_path)) == ["x-lost-7", "x-lost-7-2", "x-lost-7-3", "x-lost-7-4"]


def test_a_name_that_is_too_long_for_a_file_is_cut(tmp_path: Path) -> None:
    assert os.path.isdir(keep(finding(), TRACE, "x" * 300, str(tmp_path)))


def test_below_what_is_no_folder_nothing_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotKeepError, match=r"file/x: .*Not a directory"):
        keep(finding(), TRACE, "x", str(tmp_path / "file" / "x"))
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("call", ["open", "mkdir", "rename"])
def test_a_disk_that_fails_midway_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    if call == "open":
        monkeypatch.setattr(traces, "save", full)
    else:
        monkeypatch.setattr(f"durability.report.finding.os.{call}", full)
    with pytest.raises(CannotKeepError, match="No space left"):
        keep(finding(), TRACE, "x", str(tmp_path))
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []
