import pytest

from raft.log import Log
from raft.log_entry import EntryType, LogEntry
from raft.preamble import checksum_seed
from raft.segment import HEADER_BYTES, Tail, read_segment, segment_first_index, segment_name
from tests.raft.disks import Disk, MemoryFilesystem, Operation, WatchedFilesystem

DIRECTORY_ID = 11
SEED = checksum_seed(DIRECTORY_ID)


class Watched:
    """A log of small segments, and what it does to its disk."""

    def __init__(self, max_segment_bytes: int = 150) -> None:
        self.disk = Disk()
        self.operations: list[Operation] = []
        self.log = Log(
            WatchedFilesystem(MemoryFilesystem(self.disk), self.operations.append),
            DIRECTORY_ID,
            max_segment_bytes,
            snapshot_index=0,
            snapshot_term=0,
            segments=[],
            entries=[],
            last_crc=SEED,
        )

    def append(self, count: int, term: int = 1) -> None:
        self.write(count, term)
        self.log.sync()

    def write(self, count: int, term: int = 1) -> None:
        first = self.log.last_index + 1
        self.log.write(
            [
                LogEntry(term, first + n, EntryType.NORMAL, b"%08d" % (first + n))
                for n in range(count)
            ]
        )

    def on_disk(self) -> tuple[list[int], list[LogEntry]]:
        """The segments, and the entries in them, all of which must be durable and in one chain."""
        files = self.disk.after_kill()
        assert files == self.disk.after_power_cut()
        tail = None
        entries: list[LogEntry] = []
        firsts = []
        for name in sorted(files):
            first = segment_first_index(name)
            assert first is not None
            segment = read_segment(files[name], name, first, DIRECTORY_ID, tail)
            assert segment.flaw is None
            tail = segment.tail
            entries += segment.entries
            firsts.append(first)
        return firsts, entries


def test_a_batch_is_one_write_and_one_sync() -> None:
    watched = Watched()
    watched.append(1)
    del watched.operations[:]
    watched.append(3)
    name = segment_name(1)
    assert [(operation.verb, operation.name) for operation in watched.operations] == [
        ("append", name),
        ("sync", name),
    ]
    assert watched.on_disk() == ([1], list(watched.log.entries()))


def test_a_segment_is_durable_with_its_name_before_an_entry_is_in_it() -> None:
    watched = Watched()
    watched.append(1)
    name = segment_name(1)
    assert [(operation.verb, operation.name) for operation in watched.operations] == [
        ("create", name),
        ("append", name),
        ("sync", name),
        ("sync", ""),
        ("append", name),
        ("sync", name),
    ]
    assert len(watched.operations[1].data) == HEADER_BYTES


def test_a_full_segment_is_followed_by_another() -> None:
    watched = Watched(max_segment_bytes=HEADER_BYTES + 2 * 45)
    for _ in range(5):
        watched.append(1)
    watched.append(6)
    watched.append(1)
    assert watched.on_disk() == ([1, 3, 5, 12], list(watched.log.entries()))


def test_what_is_read_is_what_was_appended() -> None:
    watched = Watched()
    assert (watched.log.first_index, watched.log.last_index, watched.log.last_term) == (1, 0, 0)
    assert [watched.log.term(index) for index in (0, 1)] == [0, None]
    watched.append(4)
    watched.append(3, term=5)
    assert (watched.log.first_index, watched.log.last_index, watched.log.last_term) == (1, 7, 5)
    assert [watched.log.term(index) for index in range(9)] == [0, 1, 1, 1, 1, 5, 5, 5, None]
    assert watched.log.entry(5).data == b"00000005"


def test_compaction_removes_whole_segments_oldest_first_and_never_the_last() -> None:
    watched = Watched(max_segment_bytes=HEADER_BYTES + 2 * 45)
    for _ in range(7):
        watched.append(1, term=2)
    del watched.operations[:]
    watched.log.compact(5, 0)
    assert [(operation.verb, operation.name) for operation in watched.operations] == [
        ("unlink", segment_name(1)),
        ("unlink", segment_name(3)),
        ("sync", ""),
    ]
    assert watched.on_disk()[0] == [5, 7]
    assert (watched.log.first_index, watched.log.last_index) == (6, 7)
    assert [watched.log.term(index) for index in range(4, 9)] == [None, 2, 2, 2, None]
    del watched.operations[:]
    watched.log.compact(5, 0)
    assert watched.operations == []
    watched.log.compact(7, 0)
    assert watched.on_disk()[0] == [7]
    assert (watched.log.first_index, watched.log.last_index, watched.log.last_term) == (8, 7, 2)
    watched.append(1, term=3)
    assert [entry.index for entry in watched.on_disk()[1]] == [7, 8]


def test_entries_up_to_the_snapshot_are_not_kept_in_memory() -> None:
    watched = Watched()
    watched.append(9)
    watched.log.compact(6, 0)
    assert [entry.index for entry in watched.log.entries()] == [7, 8, 9]


@pytest.mark.parametrize("compacted", [0, 1, 4])
@pytest.mark.parametrize("kept", range(10))
def test_truncation_leaves_a_log_that_can_be_continued(kept: int, compacted: int) -> None:
    """At every place: between and inside of segments and batches."""
    if kept < compacted:
        return
    watched = Watched(max_segment_bytes=HEADER_BYTES + 2 * 45)
    for count in (1, 1, 3, 1, 2, 1):
        watched.append(count)
    if compacted:
        watched.log.compact(compacted, 0)
    before = {entry.index: entry for entry in watched.on_disk()[1]}
    watched.log.truncate_after(kept)
    assert watched.log.last_index == kept
    assert watched.on_disk()[1] == [entry for index, entry in before.items() if index <= kept]
    watched.append(2, term=4)
    watched.append(1, term=4)
    assert watched.log.last_index == kept + 3
    terms = [(entry.index, entry.term) for entry in watched.on_disk()[1]]
    assert terms == [
        *((index, 1) for index in before if index <= kept),
        *((kept + n, 4) for n in (1, 2, 3)),
    ]


def test_truncation_removes_newest_first_and_each_removal_is_synced() -> None:
    watched = Watched(max_segment_bytes=HEADER_BYTES + 45)
    for _ in range(4):
        watched.append(1)
    del watched.operations[:]
    watched.log.truncate_after(1)
    assert [(operation.verb, operation.name) for operation in watched.operations] == [
        ("unlink", segment_name(4)),
        ("sync", ""),
        ("unlink", segment_name(3)),
        ("sync", ""),
        ("truncate", segment_name(2)),
        ("sync", segment_name(2)),
    ]


def test_a_batch_that_does_not_follow_is_refused_before_it_is_written() -> None:
    watched = Watched()
    watched.append(2, term=3)
    del watched.operations[:]
    for entry in (LogEntry(3, 2), LogEntry(3, 4), LogEntry(2, 3)):
        with pytest.raises(AssertionError):
            watched.log.write([entry])
    assert watched.operations == []


def test_records_say_what_was_durable_when_they_were_written() -> None:
    watched = Watched(max_segment_bytes=10_000)
    watched.append(2)
    watched.append(2)
    data = watched.disk.after_kill()[segment_name(1)]
    starts = range(HEADER_BYTES, len(data), 45)
    claims = [int.from_bytes(data[start + 8 : start + 16], "little") for start in starts]
    assert claims == [0, 0, 2, 2]
    assert read_segment(data, "", 1, DIRECTORY_ID, Tail(0, 0, SEED)).durable_index == 2
