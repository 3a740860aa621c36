"""A disk that fails in memory: what was synced is durable, a failure comes once."""

import copy

import pytest

from durability.recovery.failing import FailingDisk, FailingFilesystem
from durability.trace.failure import Failure
from raft.errors import DiskError


def written(disk: FailingDisk, *parts: bytes) -> None:
    """Write parts to a file, and sync each; stop at the first error."""
    filesystem = FailingFilesystem(disk)
    file = filesystem.create("log")
    filesystem.sync()
    for part in parts:
        file.append(part)
        file.sync_data()


def test_without_a_fault_what_is_synced_is_durable() -> None:
    disk = FailingDisk("write-eio", 0)
    written(disk, b"one", b"two")
    disk.lose_power()
    assert disk.cached() == {"log": b"onetwo"}
    assert not disk.fired


def test_a_write_fails_behind_a_part_of_it() -> None:
    disk = FailingDisk("write-enospc", 3)
    with pytest.raises(DiskError, match="No space left"):
        written(disk, b"one", b"four")
    assert disk.cached() == {"log": b"onefo"}


@pytest.mark.parametrize(
    ("failure", "cached"), [("sync-eio-kept", b"onetwo"), ("sync-eio-reverted", b"one")]
)
def test_a_sync_fails_once_and_a_second_one_lies(failure: Failure, cached: bytes) -> None:
    disk = FailingDisk(failure, 3)
    with pytest.raises(DiskError):
        written(disk, b"one", b"two")
    assert disk.cached() == {"log": cached}
    FailingFilesystem(disk).open("log").sync()
    disk.lose_power()
    assert disk.cached() == {"log": b"one"}


def test_what_is_written_after_a_lost_part_leaves_a_hole() -> None:
    disk = FailingDisk("sync-eio-kept", 3)
    with pytest.raises(DiskError):
        written(disk, b"one", b"two")
    file = FailingFilesystem(disk).open("log")
    file.append(b"three")
    file.sync()
    disk.lose_power()
    assert disk.cached() == {"log": b"one\0\0\0three"}


def test_a_name_is_durable_with_its_directory() -> None:
    disk = FailingDisk("write-eio", 0)
    filesystem = FailingFilesystem(disk)
    file = filesystem.create("new")
    file.append(b"x")
    file.sync()
    disk.lose_power()
    assert disk.cached() == {}


def test_a_directory_whose_sync_failed_is_saved_by_the_next() -> None:
    disk = FailingDisk("sync-eio-reverted", 1)
    with pytest.raises(DiskError):
        written(disk)
    assert disk.cached() == {"log": b""}
    unpowered = copy.deepcopy(disk)
    unpowered.lose_power()
    assert unpowered.cached() == {}
    FailingFilesystem(disk).sync()
    disk.lose_power()
    assert disk.cached() == {"log": b""}


def test_a_full_disk_stays_full_until_there_is_room() -> None:
    disk = FailingDisk("disk-full", 1)
    filesystem = FailingFilesystem(disk)
    for _ in range(2):
        with pytest.raises(DiskError, match="No space left"):
            filesystem.create("log")
    disk.make_room()
    filesystem.create("log").append(b"x")
    assert disk.cached() == {"log": b"x"}


@pytest.mark.parametrize("change", ["truncate", "rename", "unlink"])
def test_a_change_that_needs_no_room_fails_with_eio_alone(change: str) -> None:
    def do(filesystem: FailingFilesystem) -> None:
        if change == "truncate":
            filesystem.open("log").truncate(1)
        elif change == "rename":
            filesystem.rename("log", "new")
        else:
            filesystem.unlink("log")

    failures: list[Failure] = ["write-eio", "write-enospc", "disk-full"]
    for failure in failures:
        disk = FailingDisk(failure, 3)
        written(disk, b"one")
        before = disk.cached()
        if failure == "write-eio":
            with pytest.raises(DiskError, match="Input/output"):
                do(FailingFilesystem(disk))
            assert disk.cached() == before
        else:
            do(FailingFilesystem(disk))
            assert disk.cached() != before
