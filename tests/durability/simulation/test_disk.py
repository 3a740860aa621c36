from collections.abc import Callable

import pytest

from durability.simulation.disk import Disk, Interrupted, SimulatedFilesystem
from raft.errors import DirectoryLockedError


def contents(disk: Disk) -> dict[str, bytes]:
    filesystem = SimulatedFilesystem(disk)
    found = {}
    for name in filesystem.names():
        file = filesystem.open(name)
        found[name] = file.read(0, file.size())
    return found


def disk_with_everything_unsynced() -> Disk:
    """One file synced in part, one never, a name never synced, a name synced and removed."""
    disk = Disk()
    filesystem = SimulatedFilesystem(disk)
    kept = filesystem.create("kept")
    kept.append(b"synced")
    kept.sync_data()
    filesystem.create("removed").sync()
    filesystem.sync()
    kept.append(b", not")
    kept.overwrite(0, b"S")
    filesystem.unlink("removed")
    filesystem.create("nameless").sync()
    return disk


def test_a_kill_keeps_all_that_was_written() -> None:
    disk = disk_with_everything_unsynced()
    disk.kill()
    assert contents(disk) == {"kept": b"Synced, not", "nameless": b""}


def test_a_power_cut_keeps_what_was_synced() -> None:
    disk = disk_with_everything_unsynced()
    disk.cut_power()
    assert contents(disk) == {"kept": b"synced", "removed": b""}


def test_a_power_cut_undoes_an_unsynced_rename_and_truncation() -> None:
    disk = Disk()
    filesystem = SimulatedFilesystem(disk)
    for name in ("old", "new"):
        file = filesystem.create(name)
        file.append(name.encode())
        file.sync()
    filesystem.sync()
    filesystem.open("old").truncate(1)
    filesystem.rename("new", "old")
    disk.cut_power()
    assert contents(disk) == {"old": b"old", "new": b"new"}


def test_the_process_dies_in_the_operation_that_was_named() -> None:
    disk = Disk()
    filesystem = SimulatedFilesystem(disk)
    file = filesystem.create("a")
    disk.interrupt_after(1)
    file.append(b"whole")
    with pytest.raises(Interrupted):
        file.append(b"torn")
    assert contents(disk) == {"a": b"wholeto"}
    with pytest.raises(Interrupted):
        file.sync()
    disk.kill()
    file.append(b"!")
    assert contents(disk) == {"a": b"wholeto!"}


@pytest.mark.parametrize("operation", ["create", "rename", "unlink", "sync", "truncate"])
def test_an_operation_that_is_not_permitted_changes_nothing(operation: str) -> None:
    disk = Disk()
    filesystem = SimulatedFilesystem(disk)
    file = filesystem.create("a")
    file.append(b"content")
    disk.interrupt_after(0)
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: filesystem.create("b"),
        "rename": lambda: filesystem.rename("a", "b"),
        "unlink": lambda: filesystem.unlink("a"),
        "sync": filesystem.sync,
        "truncate": lambda: file.truncate(0),
    }
    with pytest.raises(Interrupted):
        calls[operation]()
    disk.kill()
    assert contents(disk) == {"a": b"content"}
    disk.cut_power()
    assert contents(disk) == {}


def test_one_process_at_a_time() -> None:
    filesystem = SimulatedFilesystem(Disk())
    filesystem.lock()
    with pytest.raises(DirectoryLockedError):
        filesystem.lock()
    filesystem.close()
    filesystem.lock()
