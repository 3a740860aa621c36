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


@pytest.mark.parametrize(
    ("flag", "expected"),
    [(0, 0), (os.O_DSYNC, os.RWF_DSYNC), (os.O_SYNC, os.RWF_SYNC | os.RWF_DSYNC)],
)
def test_writes_to_synchronous_files_are_told(root: Path, flag: int, expected: int) -> None:
    def write() -> None:
        os.write(os.open(root / "f", os.O_WRONLY | os.O_CREAT | flag), b"x")

    opened, written = records(write, root)
    assert isinstance(opened, Open)
    assert opened.flags & flag == flag
    assert isinstance(written, Write)
    assert written.flags == expected


def test_synchronous_writes_are_told(root: Path) -> None:
    def write() -> None:
        os.pwritev(os.open(root / "f", os.O_WRONLY | os.O_CREAT), [b"x"], 0, os.RWF_DSYNC)

    written = records(write, root)[1]
    assert isinstance(written, Write)
    assert written.flags == os.RWF_DSYNC


def test_a_sync_tells_the_file_that_has_lost_its_name(root: Path) -> None:
    def work() -> None:
        old = os.open(root / "f", os.O_WRONLY | os.O_CREAT)
        os.open(root / "g", os.O_WRONLY | os.O_CREAT)
        os.rename(root / "g", root / "f")
        os.fsync(old)

    opened, *_, synced = records(work, root)
    assert isinstance(opened, Open)
    assert isinstance(synced, Sync)
    assert synced.file == opened.file
