"""Whichever directory is named: its format, what may not be touched, what cannot be read."""

import hashlib
import os
from pathlib import Path

import msgspec
import pytest

from durability.audit.directory import audit_directory, read_directory
from durability.errors import ExitStatus, UnreadableError
from tests.durability.audit.v2_files import example, name, write

RAFTCR = Path(__file__).parents[2] / "data" / "raftcr"


def fingerprint(path: Path) -> str:
    """Names, contents, modes, sizes and times of change of everything below."""
    digest = hashlib.sha256()
    for entry in sorted([path, *path.rglob("*")]):
        status = entry.stat()
        facts = (entry.name, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest.update(repr(facts).encode())
        digest.update(entry.read_bytes() if entry.is_file() else b"")
    return digest.hexdigest()


def test_the_fingerprint_sees_a_change(tmp_path: Path) -> None:
    write(tmp_path, {"metadata": b"a"})
    before = fingerprint(tmp_path)
    write(tmp_path, {"metadata": b"a"})
    assert fingerprint(tmp_path) != before


@pytest.mark.parametrize("recovered", [False, True])
def test_nothing_on_disk_changes(tmp_path: Path, recovered: bool) -> None:
    damaged = example() | {"metadata.tmp": b"half", name(8): example()[name(8)][:-1]}
    write(tmp_path / "v2", damaged)
    v1 = {file.name: file.read_bytes() for file in (RAFTCR / "dir7_torn_tail").iterdir()}
    write(tmp_path / "v1", v1)
    before = fingerprint(tmp_path)
    assert audit_directory(str(tmp_path / "v2"), recovered=recovered).tail == "torn"
    assert audit_directory(str(tmp_path / "v1"), recovered=recovered).tail == "torn"
    assert fingerprint(tmp_path) == before


def test_the_json_has_the_documented_keys(tmp_path: Path) -> None:
    audit = audit_directory(write(tmp_path, example()))
    keys = set(msgspec.json.decode(msgspec.json.encode(audit)))
    assert keys >= {
        "path", "format", "verdict", "violations", "notes", "term", "voted_for", "commit_index",
        "first_index", "last_index", "snapshot_index", "peers",
    }  # fmt: skip
    assert audit.path == str(tmp_path)


@pytest.mark.parametrize(
    ("files", "form", "verdict"),
    [
        ({}, "empty", "inconclusive"),
        ({"metadata": b""}, "v2", "violation"),
        ({"snapshot": b""}, "v2", "violation"),
        ({name(1): b""}, "v2", "violation"),
        ({"raft_meta": b""}, "raft.cr v1", "violation"),
        ({"0000000000000001.log": b""}, "raft.cr v1", "violation"),
        ({"0000000000000001.log": b"", "snapshot": b""}, "raft.cr v1", "violation"),
        ({"transport_peers": b""}, "raft.cr v1", "held"),
        ({"README": b""}, "unknown", "inconclusive"),
        ({"metadata": b"", "raft_meta": b""}, "unknown", "inconclusive"),
        ({"0" * 20 + ".segment": b""}, "unknown", "inconclusive"),
    ],
)
def test_the_format_follows_from_the_names(
    tmp_path: Path, files: dict[str, bytes], form: str, verdict: str
) -> None:
    audit = audit_directory(write(tmp_path, files))
    assert (audit.format, audit.verdict) == (form, verdict)


def test_the_file_systems_own_directory_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert audit_directory(str(tmp_path)).format == "empty"


def test_a_foreign_file_is_noted_whatever_its_name(tmp_path: Path) -> None:
    write(tmp_path, example())
    stray = os.fsencode(tmp_path) + b"/\xff"
    with open(stray, "wb"):
        pass
    audit = audit_directory(str(tmp_path))
    assert audit.verdict == "held"
    assert "\\xff: not a file of a Raft node, not read" in audit.notes
    msgspec.json.encode(audit)


def test_a_missing_directory_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="No such file or directory; give") as caught:
        audit_directory(str(tmp_path / "missing"))
    assert caught.value.exit_status is ExitStatus.USAGE


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnreadableError, match="Not a directory"):
        audit_directory(str(tmp_path / "file"))


def test_a_file_that_cannot_be_opened_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "metadata").symlink_to("nowhere")
    with pytest.raises(UnreadableError, match=r"/metadata: No such file.*; stop the node"):
        audit_directory(str(tmp_path))


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metadata")
    audit = audit_directory(str(tmp_path))
    assert [violation.message for violation in audit.violations] == [
        "metadata: not a regular file at offset 0"
    ]


def test_the_content_comes_with_the_audit(tmp_path: Path) -> None:
    found = read_directory(write(tmp_path, example()))
    assert found.audit == audit_directory(str(tmp_path))
    assert len(found.entries) == 7
