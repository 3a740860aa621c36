"""A crash state in one file: read back as it was kept, refused where it is none."""

from pathlib import Path

import msgspec
import pytest
import zstandard

from durability.errors import CannotKeepError, UnreadableError
from durability.report.crash_state import (
    SUFFIX,
    CrashStateCase,
    LossViolation,
    LostOperation,
    keep,
    load,
)


def case() -> CrashStateCase:
    violation = LossViolation(
        kind="lost",
        invariant="Every acknowledged item is there after every crash.",
        message="1 item missing",
        model="xfs",
        strongest_model="xfs",
        lost=(LostOperation("5 bytes of log at 0", "write log at 0: 5 bytes", "log", 0),),
    )
    return CrashStateCase(
        target="reference",
        heard=["item 1", "ack 1"],
        later=["1", "2"],
        violations=[violation],
        files={b"log": b"\0" * 5, b"a/\xff": b""},
        links={b"link": b"log"},
        directories=[b"a"],
    )


def test_it_is_read_back_as_it_was_kept(tmp_path: Path) -> None:
    path = keep(case(), "my store", str(tmp_path / "findings"))
    assert path.endswith(f"/my-store-lost-xfs{SUFFIX}")
    assert load(path) == case()
    assert load(path).content.files[b"log"] == b"\0" * 5
    assert load(path).content.directories == {b"a"}


def test_two_of_one_name_do_not_meet(tmp_path: Path) -> None:
    first, second = (keep(case(), "store", str(tmp_path)) for _ in range(2))
    assert first != second
    assert second.endswith(f"-2{SUFFIX}")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        Path(path).name for path in (first, second)
    )


def test_where_it_cannot_be_written_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CannotKeepError, match="cannot be kept"):
        keep(case(), "store", str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "not a crash state"),
        (b"text", "not a crash state"),
        (zstandard.compress(b"text"), "not a crash state"),
        (
            zstandard.compress(
                msgspec.msgpack.encode({"magic": "durability trace", "version": 1, "case": 0})
            ),
            "a 'durability trace' of version 1",
        ),
        (
            zstandard.compress(
                msgspec.msgpack.encode({"magic": "durability crash state", "version": 2, "case": 0})
            ),
            "of version 2",
        ),
    ],
)
def test_what_is_none_is_refused(content: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{SUFFIX}"
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match=text):
        load(str(path))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="No such file"):
        load(str(tmp_path / f"x{SUFFIX}"))
