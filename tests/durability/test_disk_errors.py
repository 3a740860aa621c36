"""A disk that fails at each operation: the node holds, and knows what it has been told."""

from pathlib import Path

import pytest

from durability.disk_errors import disk_errors
from durability.errors import UsageError
from durability.recovery.failing import FAULTS, FailingDisk, FailingFilesystem
from durability.targets import catalogue, functions
from raft.errors import DiskError
from tests.durability.commands import durability
from tests.stores import log_store

HELD, VIOLATION, USAGE = range(3)


def test_the_node_holds_whatever_fails() -> None:
    result = disk_errors(catalogue.find("reference"))
    assert result.verdict == "held", result.document()
    assert set(result.figures["faults"]) == set(FAULTS)
    assert all(of["fired"] > 50 for of in result.figures["faults"].values())


def test_the_command_refuses_what_takes_no_disk_of_ours(tmp_path: Path) -> None:
    assert durability("disk", "reference-follower", cwd=str(tmp_path)).status == USAGE
    with pytest.raises(UsageError):
        disk_errors(functions.target(log_store.good, log_store.recover))


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
    disk = FailingDisk("write-enospc", 2)
    with pytest.raises(DiskError, match="No space left"):
        written(disk, b"one", b"four")
    assert disk.cached() == {"log": b"onefo"}


@pytest.mark.parametrize(
    ("fault", "cached"), [("sync-eio-kept", b"onetwo"), ("sync-eio-reverted", b"one")]
)
def test_a_sync_fails_once_and_a_second_one_lies(fault: str, cached: bytes) -> None:
    disk = FailingDisk("sync-eio-kept" if fault == "sync-eio-kept" else "sync-eio-reverted", 2)
    with pytest.raises(DiskError):
        written(disk, b"one", b"two")
    assert disk.cached() == {"log": cached}
    FailingFilesystem(disk).open("log").sync()
    disk.lose_power()
    assert disk.cached() == {"log": b"one"}


def test_what_is_written_after_a_lost_part_leaves_a_hole() -> None:
    disk = FailingDisk("sync-eio-kept", 2)
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


def test_a_full_disk_stays_full_until_there_is_room() -> None:
    disk = FailingDisk("disk-full", 1)
    filesystem = FailingFilesystem(disk)
    for _ in range(2):
        with pytest.raises(DiskError, match="No space left"):
            filesystem.create("log")
    disk.make_room()
    filesystem.create("log").append(b"x")
    assert disk.cached() == {"log": b"x"}
