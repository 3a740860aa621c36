"""The log: the entries above the snapshot, each of them durable before it is counted.

A batch is one write, and one sync that others may share. `last_index` moves with the write,
`durable_index` with the sync. Between the two there is only what a leader itself has proposed, and
only until the node's next call (`raft.leader`): whatever else is derived from the log - an
acknowledgement, a vote's last index, a truncation - finds all of it durable. After a DiskError the
log must not be used again: only a recovery can say what the disk holds.
"""

from collections.abc import Sequence

from raft.filesystem import File, Filesystem
from raft.log_entry import ENTRY_HEADER_BYTES, LogEntry
from raft.preamble import checksum_seed
from raft.segment import (
    HEADER_PREVIOUS_CRC_OFFSET,
    RECORD_BYTES,
    RECORD_PREVIOUS_CRC_OFFSET,
    Tail,
    encode_header,
    encode_records,
    segment_name,
)


class Log:
    """The entries above the snapshot, in memory and in segments, and some below it in memory alone.

    Those below are for peers that lag a little: without them each would need the whole snapshot.

    Args:
        filesystem: the locked data directory.
        directory_id: its id, which every file in it carries.
        max_segment_bytes: a segment of this size or more is followed by a new one.
        snapshot_index: the last entry that the snapshot stands for, 0 without one.
        snapshot_term: its term.
        segments: the first index of each segment, ascending. All of them are durable.
        entries: those above `snapshot_index`, without a gap. All of them are durable.
        last_crc: the crc of the last record; the checksum seed where there is no segment.
    """

    def __init__(
        self,
        filesystem: Filesystem,
        directory_id: int,
        max_segment_bytes: int,
        *,
        snapshot_index: int,
        snapshot_term: int,
        segments: list[int],
        entries: list[LogEntry],
        last_crc: int,
    ) -> None:
        self._filesystem = filesystem
        self._directory_id = directory_id
        self._seed = checksum_seed(directory_id)
        self._max_segment_bytes = max_segment_bytes
        # The entry before the first in memory: the snapshot's last one, or one below it.
        self._base_index = snapshot_index
        self._base_term = snapshot_term
        self._segments = segments
        self._entries = entries
        self._last_crc = last_crc
        self._durable_index = self.last_index
        self._file: File | None = None
        self._file_bytes = 0
        if segments:
            self._open_last_segment()

    @property
    def first_index(self) -> int:
        """The index of the first entry that can be read; `last_index + 1` where there is none."""
        return self._base_index + 1

    @property
    def last_index(self) -> int:
        """The index of the last entry, or the snapshot's."""
        return self._base_index + len(self._entries)

    @property
    def durable_index(self) -> int:
        """The index of the last entry that no power cut takes away, or the snapshot's."""
        return self._durable_index

    @property
    def last_term(self) -> int:
        """The term of the last entry, or the snapshot's (0 in an empty log)."""
        return self._entries[-1].term if self._entries else self._base_term

    def term(self, index: int) -> int | None:
        """Say of which term the entry is; None where it is not in the log, or not any more."""
        if index == self._base_index:
            return self._base_term
        position = index - self._base_index - 1
        return self._entries[position].term if 0 <= position < len(self._entries) else None

    def entry(self, index: int) -> LogEntry:
        """Return one entry, from `first_index` to `last_index`."""
        assert self._base_index < index <= self.last_index
        return self._entries[index - self._base_index - 1]

    def entries(self) -> Sequence[LogEntry]:
        """Return all entries, from `first_index` to `last_index`."""
        return self._entries

    def batch(self, first_index: int, max_bytes: int) -> list[LogEntry]:
        """Return the entries from `first_index` on that take no more than `max_bytes` on the wire.

        One that takes more by itself is returned alone. Empty above `last_index`.
        """
        start = first_index - self._base_index - 1
        assert start >= 0
        end = start
        size = 0
        while end < len(self._entries):
            size += ENTRY_HEADER_BYTES + len(self._entries[end].data)
            if size > max_bytes and end > start:
                break
            end += 1
        return self._entries[start:end]

    def write(self, entries: Sequence[LogEntry]) -> None:
        """Append a batch that follows `last_index`; after the next `sync` it is durable.

        Raises:
            DiskError: a part of the batch may be on the disk, in the end or for now.
        """
        before = Tail(self.last_index, self.last_term, self._last_crc)
        assert entries[0].index == before.index + 1
        assert entries[0].term >= before.term
        if self._file is None or self._file_bytes >= self._max_segment_bytes:
            file = self._start_segment(before)
        else:
            file = self._file
        data, last_crc = encode_records(entries, self._seed, before, self._durable_index)
        file.append(data)
        self._file_bytes += len(data)
        self._last_crc = last_crc
        self._entries += entries

    def sync(self) -> None:
        """Make durable what was written since the last time, if there is something.

        Raises:
            DiskError: any part of it may be on the disk, in the end or for now.
        """
        if self._durable_index < self.last_index:
            assert self._file is not None
            self._file.sync_data()
            self._durable_index = self.last_index

    def truncate_after(self, index: int) -> None:
        """Remove the entries above `index`; when this returns they cannot come back.

        What says that they were durable - the metadata - must have been lowered before.
        """
        assert self._base_index <= index
        assert self._durable_index == self.last_index
        while self._segments and self._segments[-1] > index + 1:
            self._drop_last_segment()
        removed = self._entries[index - self._base_index :]
        if removed:
            assert self._file is not None
            end = self._file_bytes - sum(RECORD_BYTES + len(entry.data) for entry in removed)
            # The first record removed knows the crc of the last one kept.
            self._last_crc = self._read_crc(self._file, end + RECORD_PREVIOUS_CRC_OFFSET)
            self._file.truncate(end)
            self._file.sync()
            self._file_bytes = end
            del self._entries[index - self._base_index :]
        self._durable_index = self.last_index

    def compact(self, index: int, keep: int) -> None:
        """Forget the entries up to `index`, but for `keep`: a durable snapshot stands for them now.

        Segments without any other entry are removed, oldest first, but never the last one.
        """
        base_index = max(self._base_index, index - keep)
        base_term = self.term(base_index)
        assert base_term is not None
        del self._entries[: base_index - self._base_index]
        self._base_index = base_index
        self._base_term = base_term
        removed = False
        while len(self._segments) > 1 and self._segments[1] <= index + 1:
            self._filesystem.unlink(segment_name(self._segments.pop(0)))
            removed = True
        if removed:
            self._filesystem.sync()

    def reset(self, index: int, term: int) -> None:
        """Forget every entry: a durable snapshot of `index` stands for another log than this.

        What says that they were durable - the metadata - must have been lowered before.
        """
        self.close()
        while self._segments:
            self._filesystem.unlink(segment_name(self._segments.pop()))
            self._filesystem.sync()
        self._entries = []
        self._base_index = index
        self._base_term = term
        self._durable_index = index
        self._last_crc = self._seed

    def close(self) -> None:
        """Close the file that is open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _start_segment(self, before: Tail) -> File:
        """Begin a new segment. It is durable, name included, before anything is written to it.

        So is all that is before it: its header says so, and a sync reaches one file only.
        """
        self.sync()
        self.close()
        file = self._filesystem.create(segment_name(before.index + 1))
        header = encode_header(self._directory_id, before)
        file.append(header)
        file.sync()
        self._filesystem.sync()
        self._segments.append(before.index + 1)
        self._file = file
        self._file_bytes = len(header)
        return file

    def _open_last_segment(self) -> None:
        self._file = self._filesystem.open(segment_name(self._segments[-1]))
        self._file_bytes = self._file.size()

    def _drop_last_segment(self) -> None:
        """Remove the last segment, but not the only one, before the one below it is touched."""
        assert self._file is not None
        self._last_crc = self._read_crc(self._file, HEADER_PREVIOUS_CRC_OFFSET)
        self.close()
        first_index = self._segments.pop()
        self._filesystem.unlink(segment_name(first_index))
        self._filesystem.sync()
        del self._entries[first_index - self._base_index - 1 :]
        self._open_last_segment()

    @staticmethod
    def _read_crc(file: File, offset: int) -> int:
        return int.from_bytes(file.read(offset, 4), "little")
