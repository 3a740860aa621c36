"""What is recorded as durable is what the target has made durable."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from durability.targets.contract import Call
from durability.trace.records import AnyRecord, Open, Sync, SyncAll, Write
from durability.trace.supervisor import Supervisor
from tests.durability.trace.alone import alone

LIBC = ctypes.CDLL(None, use_errno=True)


def records(function: Callable[[], object], root: Path) -> list[AnyRecord]:
    def call() -> None:
        function()

    run = alone(lambda: Supervisor().run(Call(call), str(root)))
    assert run.exit_status == 0, run.stderr
    return run.trace.records


def open_file(root: Path) -> int:
    return os.open(root / "d" / "f", os.O_WRONLY | os.O_CREAT)


@pytest.mark.parametrize(
    ("sync", "path", "data_only"),
    [
        (lambda root: os.fsync(open_file(root)), b"d/f", False),
        (lambda root: os.fdatasync(open_file(root)), b"d/f", True),
        (lambda root: os.fsync(os.open(root / "d", os.O_RDONLY)), b"d", False),
        (lambda root: os.fsync(os.open(root, os.O_RDONLY)), b"", False),
        (lambda root: os.fsync(os.open(root / "there", os.O_RDONLY)), b"there", False),
        (lambda root: os.fdatasync(os.open(root / "there", os.O_RDONLY)), b"there", True),
    ],
)
def test_a_sync(root: Path, sync: Callable[[Path], None], path: bytes, data_only: bool) -> None:
    (root / "d").mkdir()
    (root / "there").touch()
    last = records(lambda: sync(root), root)[-1]
    assert isinstance(last, Sync)
    assert (last.path, last.data_only) == (path, data_only)


def test_a_sync_follows_a_renamed_directory(root: Path) -> None:
    (root / "d").mkdir()

    def rename_and_sync() -> None:
        file = open_file(root)
        os.rename(root / "d", root / "e")
        os.write(file, b"x")
        os.fsync(file)

    write, last = records(rename_and_sync, root)[-2:]
    assert isinstance(write, Write)
    assert isinstance(last, Sync)
    assert (write.path, last.path) == (b"e/f", b"e/f")


def test_a_sync_that_fails_is_none(root: Path) -> None:
    assert records(lambda: LIBC.fsync(700), root) == []


@pytest.mark.parametrize(
    ("sync", "counts"),
    [
        (lambda _: os.sync(), True),
        (lambda root: LIBC.syncfs(os.open(root, os.O_RDONLY)), True),
        (lambda _: LIBC.syncfs(os.open("/proc", os.O_RDONLY)), False),
        (lambda _: LIBC.syncfs(700), False),
    ],
)
def test_a_sync_of_our_file_system_counts(
    root: Path, sync: Callable[[Path], object], counts: bool
) -> None:
    assert [type(record) for record in records(lambda: sync(root), root)] == [SyncAll] * counts


@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC])
def test_synchronous_files_and_writes_are_told(root: Path, flag: int) -> None:
    def write() -> None:
        file = os.open(root / "f", os.O_WRONLY | os.O_CREAT | flag)
        os.pwritev(file, [b"x"], 0, os.RWF_DSYNC)

    opened, written = records(write, root)
    assert isinstance(opened, Open)
    assert opened.flags & flag == flag
    assert isinstance(written, Write)
    assert written.flags == os.RWF_DSYNC
