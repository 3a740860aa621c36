import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from durability.errors import UsageError
from durability.report.document import write_file, write_json
from durability.report.result import Result
from tests.durability.report.results import EVERY, UNPRINTABLE, hostile


@pytest.mark.parametrize("result", EVERY)
def test_the_object_comes_back_as_it_was(result: Callable[[], Result], tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    document = result().document()
    write_json(document, str(path))
    assert json.loads(path.read_text("ascii")) == document
    assert os.listdir(tmp_path) == ["result.json"]


def test_text_that_has_no_utf_8_form_comes_back(tmp_path: Path) -> None:
    document = hostile(UNPRINTABLE).document()
    write_json(document, str(tmp_path / "result.json"))
    assert json.loads((tmp_path / "result.json").read_bytes()) == document


def test_an_object_that_is_no_json_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_json({"run": 1}, str(path))
    with pytest.raises(TypeError):
        write_json({"run": object()}, str(path))
    assert json.loads(path.read_text()) == {"run": 1}


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_failing_disk_leaves_the_earlier_file_and_nothing_else(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    path.write_text("earlier")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(UsageError, match="No space left on device; make room"):
            write_file(b"later", str(path))
    assert path.read_text() == "earlier"
    assert os.listdir(tmp_path) == ["result.json"]


def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    ordinary, written = tmp_path / "ordinary", tmp_path / "written"
    ordinary.touch()
    write_file(b"", str(written))
    assert written.stat().st_mode == ordinary.stat().st_mode


def test_a_missing_directory_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = str(tmp_path / "missing" / "result.json")
    with pytest.raises(UsageError, match="No such file or directory; make its directory first"):
        write_file(b"", path)
    assert os.listdir(tmp_path) == []


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory; name a file in it"):
        write_file(b"", str(tmp_path))


def test_a_relative_path_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_file(b"data", "result.json")
    assert (tmp_path / "result.json").read_bytes() == b"data"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("earlier")
    (tmp_path / "link").symlink_to("file")
    write_file(b"later", str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"later"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_file(b"data", str(path))
        assert os.read(reader, 5) == b"data"
    finally:
        os.close(reader)
    assert path.is_fifo()
