"""What a power cut would leave of a node right now, read from its disk and not from the node.

The invariants judge what a node says by this. Looking after an append costs what was appended;
looking after anything else (a new segment, a truncation, a snapshot) costs the log's length. What
has rotted is not there: the log ends before it, and a snapshot is none; nor is anything without the
metadata. The layouts are those of docs/formats.md.
"""

import struct
from dataclasses import dataclass

from crc32c import crc32c

from durability.simulation.disk import Content, Disk, SimulatedFilesystem
from raft.errors import CorruptionError, DecodeError
from raft.log_entry import LogEntry
from raft.metadata import METADATA_NAME, Metadata
from raft.preamble import PREAMBLE_BYTES, checksum_seed
from raft.segment import HEADER_BYTES, RECORD_BYTES, read_segment, segment_first_index
from raft.snapshot import SNAPSHOT_NAME, Snapshot

# A record is fields of its own, a crc first, and then an entry as on the wire.
_ENTRY_OFFSET = RECORD_BYTES - len(LogEntry(0, 0).encode())
_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Change:
    """How the durable state differs from what it was when it was looked at last.

    `metadata` and `snapshot` are None where they are as before. If the log `is_truncated`, the
    entries above `kept_index` are gone; `appended` follow.
    """

    metadata: Metadata | None
    snapshot: Snapshot | None
    is_truncated: bool
    kept_index: int
    appended: list[LogEntry]


class DurableState:
    """Term, vote, snapshot and log that a power cut would leave."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        disk.on_sync = self.look
        self._changes: list[Change] = []
        self._metadata_file: Content | None = None
        self._snapshot_file: Content | None = None
        self._segments: list[tuple[Content, int]] = []
        self._end = 0  # of the last segment's last complete record, in bytes
        self.metadata: Metadata | None = None
        self.snapshot: Snapshot | None = None
        self.entries: list[LogEntry] = []

    @property
    def snapshot_index(self) -> int:
        """The index of the last entry that the snapshot stands for, 0 without one."""
        return self.snapshot.index if self.snapshot else 0

    def known_durable(self) -> list[tuple[str, range]]:
        """Say which bytes of which files were known to be durable when something was written later.

        If one of them changes the node can tell; of the last batch it cannot (docs/formats.md). How
        the files begin is left out, since another version is not looked into, and so is the
        metadata, without which there is no node.
        """
        found: list[tuple[str, range]] = []
        if self.metadata is None:
            return found
        known = self._claims(self.metadata)
        for name, content in sorted(self._disk.synced.items()):
            first_index = segment_first_index(name)
            if name == SNAPSHOT_NAME:
                found.append((name, range(PREAMBLE_BYTES, len(content.synced))))
            elif first_index is not None and first_index <= known:
                end = HEADER_BYTES
                for _ in range(first_index, known + 1):
                    if end + RECORD_BYTES > len(content.synced):
                        break
                    _, end = LogEntry.decode_from(content.synced, end + _ENTRY_OFFSET)
                found.append((name, range(PREAMBLE_BYTES, end)))
        return found

    def _claims(self, metadata: Metadata) -> int:
        """Return the largest index that the files say is durable."""
        claims = [self.snapshot_index]
        if metadata.is_complete:
            claims.append(metadata.durable_index)
        for name, content in self._disk.synced.items():
            first_index = segment_first_index(name)
            if first_index is not None:
                directory_id = metadata.directory_id
                segment = read_segment(content.synced, name, first_index, directory_id, None)
                claims.append(segment.durable_index)
        return max(claims)

    def take_changes(self) -> list[Change]:
        """Hand over what became durable since the last call, in order."""
        changes, self._changes = self._changes, []
        return changes

    def look(self) -> None:
        """Read what has changed since the last look. Called after each sync, and after a crash."""
        before = self.metadata, self.snapshot
        last_index_before = self.entries[-1].index if self.entries else self.snapshot_index
        file = self._disk.synced.get(METADATA_NAME)
        if file is not self._metadata_file:
            self._metadata_file = file
            self.metadata = self._read_metadata() if file else None
        file = self._disk.synced.get(SNAPSHOT_NAME)
        if file is not self._snapshot_file:
            self._snapshot_file = file
            self.snapshot = self._read_snapshot() if file else None
        is_restored = self.snapshot is not before[1]
        is_as_before = (self.metadata is None) == (before[0] is None)
        kept_index, appended = self._look_at_log(anew=is_restored or not is_as_before)
        self._changes.append(
            Change(
                self.metadata if self.metadata is not before[0] else None,
                self.snapshot if is_restored else None,
                last_index_before > kept_index,
                kept_index,
                appended,
            )
        )

    def _look_at_log(self, *, anew: bool) -> tuple[int, list[LogEntry]]:
        """Read what is new in the log: the last index that was kept, and what follows it."""
        named = [
            (first_index, content)
            for name, content in self._disk.synced.items()
            if (first_index := segment_first_index(name)) is not None
        ]
        segments = [
            (content, content.generation) for _, content in sorted(named, key=lambda pair: pair[0])
        ]
        if not anew and segments == self._segments:
            kept_index = self.entries[-1].index if self.entries else self.snapshot_index
            appended = self._read_on(segments[-1][0]) if segments else []
            self.entries += appended
            return kept_index, appended
        self._segments = segments
        before = {entry.index: entry for entry in self.entries}
        self.entries = self._read_all()
        kept_index = self.snapshot_index
        for position, entry in enumerate(self.entries):
            if before.get(entry.index) != entry:
                return kept_index, self.entries[position:]
            kept_index = entry.index
        return kept_index, []

    def _read_all(self) -> list[LogEntry]:
        entries: list[LogEntry] = []
        if self.metadata is None:
            return entries
        for content, _ in self._segments:
            self._end = HEADER_BYTES
            read = self._read_on(content)
            if entries and read and read[0].index != entries[-1].index + 1:
                if read[0].index > self.snapshot_index + 1:
                    break  # the log was torn before it
                entries = []  # the snapshot has superseded what is before the hole
            entries += read
        return [entry for entry in entries if entry.index > self.snapshot_index]

    def _read_on(self, content: Content) -> list[LogEntry]:
        """Read the complete and intact records from `_end` on, and move it behind them."""
        entries = []
        data = content.synced
        while self._end + RECORD_BYTES <= len(data):
            try:
                entry, end = LogEntry.decode_from(data, self._end + _ENTRY_OFFSET)
            except DecodeError:
                break
            checked = data[self._end + _CRC.size : end]
            if _CRC.unpack_from(data, self._end) != (crc32c(checked, self._seed()),):
                break
            entries.append(entry)
            self._end = end
        return entries

    def _seed(self) -> int:
        assert self.metadata is not None
        return checksum_seed(self.metadata.directory_id)

    def _read_metadata(self) -> Metadata | None:
        try:
            return Metadata.read(self._after_power_cut())
        except CorruptionError:
            return None

    def _read_snapshot(self) -> Snapshot | None:
        if self.metadata is None:
            return None
        try:
            return Snapshot.read(self._after_power_cut(), self.metadata.directory_id)
        except CorruptionError:
            return None

    def _after_power_cut(self) -> SimulatedFilesystem:
        image = Disk()
        image.synced = self._disk.synced
        image.written = {
            name: Content(bytearray(content.synced)) for name, content in image.synced.items()
        }
        return SimulatedFilesystem(image)
