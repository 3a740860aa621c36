"""Damage at or below what was durable is refused, with nothing changed; above it, it is dropped."""

from typing import cast

import pytest

from raft.errors import (
    CorruptionError,
    StorageError,
    UnsupportedFormatError,
    WrongDirectoryError,
)
from raft.log_entry import EntryType, LogEntry
from raft.metadata import Metadata
from raft.preamble import checksum_seed
from raft.segment import Tail, encode_header, encode_records, segment_name
from raft.snapshot import Snapshot
from tests.raft.disks import Disk, MemoryFilesystem
from tests.raft.journal import SELF, elect, open_node

DIRECTORY_ID = 0x0123456789ABCDEF
SEED = checksum_seed(DIRECTORY_ID)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def refused(files: dict[str, bytes]) -> StorageError:
    """Open a damaged directory, in which nothing may change; return why it was refused."""
    disk = Disk.of(files)
    filesystem = MemoryFilesystem(disk)
    with pytest.raises(StorageError) as caught:
        open_node(filesystem)
    assert disk.after_kill() == files
    assert not filesystem.locked
    return caught.value


@pytest.fixture(scope="module")
def closed_directory() -> dict[str, bytes]:
    """A log of three segments above a snapshot, all of it known to be durable."""
    disk = Disk()
    node, _ = open_node(MemoryFilesystem(disk))
    node.bootstrap([SELF])
    elect(node)
    for number in range(13):
        node.propose(b"command %d" % number)
    node.close()
    files = disk.after_kill()
    assert len(files) == 5
    assert "snapshot" in files
    return files


def test_every_flipped_bit_of_durable_bytes_is_refused_d15(
    closed_directory: dict[str, bytes],
) -> None:
    open_node(MemoryFilesystem(Disk.of(closed_directory)))
    for name, data in closed_directory.items():
        for bit in range(8 * len(data)):
            error = refused({**closed_directory, name: flipped(data, bit)})
            in_version_or_features = bit // 8 in (8, 9, *range(12, 16))
            if in_version_or_features:
                assert isinstance(error, UnsupportedFormatError)
                assert name in str(error)
            else:
                assert isinstance(error, CorruptionError)
                assert error.path.endswith(name)
                assert error.offset <= bit // 8
                if name.endswith(".segment"):
                    assert error.index is not None
                    assert int(name[:20]) <= error.index <= 15


def test_every_lost_end_of_durable_bytes_is_refused(closed_directory: dict[str, bytes]) -> None:
    for name, data in closed_directory.items():
        for size in range(len(data)):
            assert isinstance(refused({**closed_directory, name: data[:size]}), CorruptionError), (
                name,
                size,
            )


@pytest.mark.parametrize("number", range(5))
def test_a_lost_file_is_refused(closed_directory: dict[str, bytes], number: int) -> None:
    names = sorted(closed_directory)
    files = {name: closed_directory[name] for name in names if name != names[number]}
    assert isinstance(refused(files), CorruptionError)


def test_bytes_after_the_end_of_a_file_with_an_end_are_refused(
    closed_directory: dict[str, bytes],
) -> None:
    for name in ("metadata", "snapshot"):
        refused({**closed_directory, name: closed_directory[name] + b"\0"})


def build(
    entries: list[LogEntry], batches: list[int], *, term: int = 9, durable_index: int = 0
) -> dict[str, bytes]:
    """A directory of one segment, whose records were written in batches of these sizes."""
    tail = Tail(0, 0, SEED)
    segment = encode_header(DIRECTORY_ID, tail)
    for size in batches:
        batch, entries = entries[:size], entries[size:]
        data, crc = encode_records(batch, SEED, tail)
        segment += data
        tail = Tail(batch[-1].index, batch[-1].term, crc)
    disk = Disk()
    Metadata(DIRECTORY_ID, 7, 3, term, None, durable_index).write(MemoryFilesystem(disk))
    return {**disk.after_kill(), segment_name(1): segment}


def commands(count: int, term: int = 1) -> list[LogEntry]:
    return [LogEntry(term, index, EntryType.NORMAL, b"%d" % index) for index in range(1, count + 1)]


def test_a_flip_in_the_last_batch_drops_it_from_there_on() -> None:
    files = build(commands(9), [1, 1, 2, 5])
    name = segment_name(1)
    size = len(encode_records(commands(1), SEED, Tail(0, 0, SEED))[0])
    last_batch = 60 + 4 * size
    for bit in range(8 * last_batch, 8 * len(files[name])):
        disk = Disk.of({**files, name: flipped(files[name], bit)})
        node, _ = open_node(MemoryFilesystem(disk))
        kept = 4 + (bit // 8 - last_batch) // size
        assert node.last_index == kept
        assert node.recovery.tail in ("ambiguous", "torn")
        assert node.recovery.dropped_bytes == (9 - kept) * size
        assert disk.after_kill() == {**files, name: files[name][: 60 + kept * size]}


def test_a_flip_below_what_a_later_record_says_was_durable_is_refused() -> None:
    """Not even metadata knows of it: the intact records behind the bad one do."""
    files = build(commands(9), [1, 1, 2, 5])
    name = segment_name(1)
    size = len(encode_records(commands(1), SEED, Tail(0, 0, SEED))[0])
    for bit in range(8 * 60, 8 * (60 + 4 * size)):
        error = refused({**files, name: flipped(files[name], bit)})
        assert isinstance(error, CorruptionError)
        assert (error.index, error.offset) == (
            1 + (bit // 8 - 60) // size,
            bit // 8 - (bit // 8 - 60) % size,
        )


@pytest.mark.parametrize("zeros", [1, 36, 37, 4096])
def test_a_zero_filled_tail_is_dropped_and_never_decodes_d15(zeros: int) -> None:
    files = build(commands(3), [1, 1, 1])
    name = segment_name(1)
    disk = Disk.of({**files, name: files[name] + bytes(zeros)})
    node, _ = open_node(MemoryFilesystem(disk))
    assert node.last_index == 3
    assert node.recovery.dropped_bytes == zeros
    assert node.recovery.tail == ("torn" if zeros < 37 else "ambiguous")
    assert disk.after_kill() == files


def test_a_stale_suffix_does_not_continue_the_log() -> None:
    """Entry 3 was replaced; what followed the old one stands where the new one ends.

    Its index follows and its term does not fall: only the chain tells.
    """
    old = [*commands(2), *(LogEntry(3, n, EntryType.NORMAL, b"%d" % n) for n in (3, 4))]
    new = [*commands(2), LogEntry(2, 3, EntryType.NORMAL, b"3")]
    files = build(old, [2, 2])
    name = segment_name(1)
    replaced = build(new, [2, 1])[name]
    files[name] = replaced + files[name][len(replaced) :]
    node, _ = open_node(MemoryFilesystem(Disk.of(files)))
    assert (node.last_index, node.recovery.tail) == (3, "ambiguous")


def resealed(records: list[LogEntry]) -> dict[str, bytes]:
    return build(records, [1] * len(records))


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([*commands(2), LogEntry(1, 4)], "entry 4 of term 1 follows entry 2 of term 1"),
        ([*commands(2, term=5), LogEntry(4, 3)], "entry 3 of term 4 follows entry 2 of term 5"),
        ([*commands(2), LogEntry(1, 3, EntryType.CONFIGURATION, b"?")], "entry is not valid"),
        ([*commands(2), LogEntry(1, 3, cast(EntryType, 7))], "entry is not valid"),
    ],
)
def test_an_intact_record_that_is_not_good_is_dropped(records: list[LogEntry], reason: str) -> None:
    node, _ = open_node(MemoryFilesystem(Disk.of(resealed(records))))
    assert (node.last_index, node.recovery.tail) == (2, "ambiguous")
    assert reason in node.recovery.reason


def test_a_log_of_a_later_term_than_the_metadata_is_refused() -> None:
    open_node(MemoryFilesystem(Disk.of(build(commands(2, term=5), [1, 1], term=5))))
    error = refused(build(commands(2, term=5), [1, 1], term=4))
    assert "term is 4, and the log ends in term 5" in str(error)


def test_an_end_below_the_durable_index_is_refused() -> None:
    open_node(MemoryFilesystem(Disk.of(build(commands(3), [3], durable_index=3))))
    error = refused(build(commands(3), [3], durable_index=4))
    assert isinstance(error, CorruptionError)
    assert error.index == 4


@pytest.mark.parametrize(("name", "offset"), [("metadata", 8), ("metadata", 12)])
def test_a_later_format_is_refused_by_name(name: str, offset: int) -> None:
    files = build(commands(1), [1])
    data = bytearray(files[name])
    data[offset] = 3
    error = refused({**files, name: bytes(data)})
    assert isinstance(error, UnsupportedFormatError)
    assert ("version 3" if offset == 8 else "features 0x3") in str(error)


@pytest.mark.parametrize(("group_id", "node_id"), [(7, 4), (8, 3)])
def test_another_nodes_directory_is_refused(group_id: int, node_id: int) -> None:
    disk = Disk()
    Metadata(DIRECTORY_ID, group_id, node_id).write(MemoryFilesystem(disk))
    assert isinstance(refused(disk.after_kill()), WrongDirectoryError)


def test_files_of_another_directory_are_refused() -> None:
    files = build(commands(1), [1])
    disk = Disk.of(files)
    Metadata(DIRECTORY_ID + 1, 7, 3, 9).write(MemoryFilesystem(disk))
    assert "directory 0x123456789abcdef" in str(refused(disk.after_kill()))
    disk = Disk.of(files)
    Snapshot(DIRECTORY_ID + 1, 1, 1, (SELF,)).write(MemoryFilesystem(disk), [])
    assert "belongs to directory 0x123456789abcdf0" in str(refused(disk.after_kill()))


def test_a_segment_under_another_name_is_refused() -> None:
    files = build(commands(3), [3])
    files[segment_name(4)] = files[segment_name(1)]
    error = refused(files)
    assert isinstance(error, CorruptionError)
    assert "the segment of index 1" in error.reason
