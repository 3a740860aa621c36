"""How the files of a directory change together, and what a crash between two of them leaves."""

import os
from pathlib import Path

import pytest

from raft.config import Config
from raft.errors import CorruptionError, DirectoryLockedError, WrongDirectoryError
from raft.filesystem import LocalFilesystem
from raft.log_entry import EntryType, LogEntry
from raft.metadata import Metadata
from raft.segment import segment_name
from raft.snapshot import Snapshot
from raft.storage import Storage
from tests.raft.disks import Disk, MemoryFilesystem, Operation, WatchedFilesystem
from tests.raft.journal import CONFIG, SELF


def entries(first: int, last: int, term: int = 1) -> list[LogEntry]:
    return [LogEntry(term, n, EntryType.NORMAL, b"%08d" % n) for n in range(first, last + 1)]


def open_storage(disk: Disk) -> Storage:
    return Storage(MemoryFilesystem(disk), CONFIG)


def filled(last: int, term: int = 1) -> Disk:
    """A log of one entry a batch, four a segment (a header of 60 bytes, records of 45)."""
    disk = Disk()
    storage = open_storage(disk)
    storage.save_term(term, None)
    for entry in entries(1, last, term):
        storage.append([entry])
    return disk


def with_snapshot(disk: Disk, index: int, term: int) -> Disk:
    """The directory as InstallSnapshot leaves it before the log is looked at."""
    filesystem = MemoryFilesystem(disk)
    directory_id = Metadata.read(filesystem).directory_id
    Snapshot(directory_id, index, term, (SELF,)).write(filesystem, [b"state"])
    return disk


def test_a_fresh_directory_is_bound_before_anything_else() -> None:
    disk = Disk()
    storage = open_storage(disk)
    assert storage.metadata.current_term == 0
    assert list(disk.after_power_cut()) == ["metadata"]
    other = Disk.of(disk.after_power_cut())
    assert open_storage(other).metadata == storage.metadata
    with pytest.raises(WrongDirectoryError, match="belongs to node 3 of group 7"):
        Storage(MemoryFilesystem(other), Config(node_id=4, group_id=7))


def test_directories_have_ids_of_their_own() -> None:
    configs = [
        Config(node_id=node_id, random_seed=seed)
        for node_id, seed in [(1, None), (1, None), (1, 5), (2, 5), (1, 6)]
    ]
    ids = {Storage(MemoryFilesystem(Disk()), config).metadata.directory_id for config in configs}
    assert len(ids) == 5
    again = Storage(MemoryFilesystem(Disk()), configs[2]).metadata.directory_id
    assert again in ids


def test_the_log_is_empty_at_a_snapshot_that_replaces_it_d06_d20_d23_d40() -> None:
    """A restart right after an installed snapshot (D06, D20, D23, D40)."""
    disk = with_snapshot(filled(3), 10, 1)
    storage = open_storage(disk)
    assert (storage.log.first_index, storage.log.last_index, storage.log.last_term) == (11, 10, 1)
    assert sorted(disk.after_power_cut()) == ["metadata", "snapshot"]
    storage.append(entries(11, 12))
    storage = open_storage(disk)
    assert [entry.index for entry in storage.log.entries()] == [11, 12]
    assert storage.recovery.tail == "clean"


def test_a_log_that_contradicts_the_snapshot_is_replaced_at_whatever_moment_it_crashes() -> None:
    """Entries above the snapshot were durable, and are durably gone: no corruption is seen."""
    disk = filled(14)
    open_storage(disk).save_term(5, None)
    with_snapshot(disk, 7, 5)
    seen: list[dict[str, bytes]] = []

    def watch(_: Operation) -> None:
        seen.extend((disk.after_kill(), disk.after_power_cut()))

    assert Metadata.read(MemoryFilesystem(disk)).durable_index == 14
    Storage(WatchedFilesystem(MemoryFilesystem(disk), watch), CONFIG)
    seen.append(disk.after_kill())
    assert len(seen) > 10
    for files in seen:
        again = Disk.of(files)
        storage = open_storage(again)
        assert (storage.log.last_index, storage.log.last_term) == (7, 5)
        assert sorted(again.after_power_cut()) == ["metadata", "snapshot"]
        storage.append(entries(8, 8, 5))
        assert open_storage(again).log.last_index == 8


def test_the_term_before_the_first_entry_counts_as_the_logs_word_on_the_snapshot() -> None:
    disk = with_snapshot(filled(8), 4, 1)
    del disk.names[segment_name(1)]
    assert open_storage(Disk.of(disk.after_kill())).log.last_index == 8
    Metadata(Metadata.read(MemoryFilesystem(disk)).directory_id, 7, 3, 5).write(
        MemoryFilesystem(disk)
    )
    with_snapshot(disk, 4, 5)
    assert open_storage(disk).log.last_index == 4


@pytest.mark.parametrize("left", [[1], [1, 5], [5], [1, 9], [5, 9], [1, 5, 9], [9]])
def test_segments_below_the_snapshot_are_removed_whichever_are_left_d19(left: list[int]) -> None:
    """Deletions are cut short, or undone one by one by a power cut (D19)."""
    disk = with_snapshot(filled(14), 12, 1)
    for first in (1, 5, 9):
        if first not in left:
            del disk.names[segment_name(first)]
    storage = open_storage(disk)
    assert [entry.index for entry in storage.log.entries()] == [13, 14]
    assert [name for name in sorted(disk.after_power_cut()) if name.endswith("segment")] == [
        segment_name(13)
    ]


def test_a_hole_above_the_snapshot_is_corrupt() -> None:
    disk = with_snapshot(filled(14), 3, 1)
    del disk.names[segment_name(5)]
    with pytest.raises(CorruptionError) as caught:
        open_storage(disk)
    assert (caught.value.index, caught.value.offset) == (5, 0)
    disk = filled(6)
    del disk.names[segment_name(1)]
    with pytest.raises(CorruptionError) as caught:
        open_storage(disk)
    assert caught.value.index == 1


@pytest.mark.parametrize("kept", [0, 2, 4, 6, 8, 9, 13, 14])
def test_a_truncation_may_crash_anywhere(kept: int) -> None:
    """The log is then as before or shorter, never below `kept`, and never taken for corrupt."""
    disk = filled(14)
    open_storage(disk).pin()
    seen: list[dict[str, bytes]] = []

    def watch(_: Operation) -> None:
        seen.extend((disk.after_kill(), disk.after_power_cut()))

    storage = Storage(WatchedFilesystem(MemoryFilesystem(disk), watch), CONFIG)
    storage.truncate_after(kept)
    assert storage.log.last_index == kept
    for files in seen:
        last_index = open_storage(Disk.of(files)).log.last_index
        assert kept <= last_index <= 14
    final = open_storage(Disk.of(disk.after_power_cut()))
    assert list(final.log.entries()) == entries(1, kept)
    assert final.recovery.tail == "clean"


def test_what_a_failed_sync_left_in_the_cache_is_written_again_d43() -> None:
    """The kernel takes those pages for clean: a sync alone would succeed without them (D43)."""
    disk = filled(2)
    files = disk.after_power_cut()
    name = segment_name(1)
    record = disk.names[name].written[60 + 45 :]
    operations: list[Operation] = []
    Storage(WatchedFilesystem(MemoryFilesystem(Disk.of(files)), operations.append), CONFIG)
    assert operations == [
        Operation("overwrite", name, bytes(record), 60 + 45),
        Operation("sync", name),
        Operation("sync", ""),
    ]


def test_what_is_known_to_be_durable_is_not_written_again() -> None:
    disk = filled(2)
    open_storage(disk).pin()
    operations: list[Operation] = []
    Storage(WatchedFilesystem(MemoryFilesystem(disk), operations.append), CONFIG)
    assert operations == [Operation("sync", segment_name(1)), Operation("sync", "")]


def test_a_failed_opening_releases_the_lock() -> None:
    disk = filled(2)
    filesystem = MemoryFilesystem(disk)
    del disk.names["metadata"]
    with pytest.raises(CorruptionError):
        Storage(filesystem, CONFIG)
    assert not filesystem.locked


def test_a_refused_opening_lets_go_of_the_directory(tmp_path: Path) -> None:
    running = Storage(LocalFilesystem(tmp_path), CONFIG)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(DirectoryLockedError):
        Storage(LocalFilesystem(tmp_path), CONFIG)
    assert os.listdir("/proc/self/fd") == before
    running.close()


def test_recovery_changes_the_disk_in_the_documented_order() -> None:
    """Left-over temporaries first, then the metadata, then the log, newest first."""
    disk = filled(14)
    open_storage(disk).save_term(5, None)
    with_snapshot(disk, 7, 5)
    disk.perform(Operation("create", "snapshot.tmp"))
    disk.perform(Operation("create", "metadata.tmp"))
    operations: list[Operation] = []
    Storage(WatchedFilesystem(MemoryFilesystem(disk), operations.append), CONFIG)
    assert [(operation.verb, operation.name) for operation in operations] == [
        ("unlink", "metadata.tmp"),
        ("unlink", "snapshot.tmp"),
        ("sync", ""),
        ("sync", ""),
        ("unlink", segment_name(1)),
        ("create", "metadata.tmp"),
        ("append", "metadata.tmp"),
        ("sync", "metadata.tmp"),
        ("rename", "metadata.tmp"),
        ("sync", ""),
        ("unlink", segment_name(13)),
        ("sync", ""),
        ("unlink", segment_name(9)),
        ("sync", ""),
        ("unlink", segment_name(5)),
        ("sync", ""),
        ("sync", ""),
    ]
