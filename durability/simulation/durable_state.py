"""What a power cut would leave of a node right now, read from its disk and not from the node.

The invariants judge what a node says by this. Looking after an append costs what was appended;
looking after anything else (a new segment, a truncation, a snapshot) costs the log's length. The
layouts are those of docs/formats.md.
"""

from dataclasses import dataclass

from durability.simulation.disk import Content, Disk, SimulatedFilesystem
from raft.errors import TruncatedError
from raft.log_entry import LogEntry
from raft.metadata import METADATA_NAME, Metadata
from raft.segment import HEADER_BYTES, RECORD_BYTES, segment_first_index
from raft.snapshot import SNAPSHOT_NAME, Snapshot

# A record is fields of its own and then an entry as on the wire.
_ENTRY_OFFSET = RECORD_BYTES - len(LogEntry(0, 0).encode())


@dataclass(frozen=True, slots=True)
class Change:
    """How the durable state differs from what it was when it was looked at last.

    `metadata` and `snapshot` are None where they are as before. The entries above `kept_index` are
    gone, and `appended` follow.
    """

    metadata: Metadata | None
    snapshot: Snapshot | None
    kept_index: int
    appended: list[LogEntry]


class DurableState:
    """Term, vote, snapshot and log that a power cut would leave."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._syncs = -1
        self._metadata: Content | None = None
        self._snapshot: Content | None = None
        self._segments: list[tuple[Content, int]] = []
        self._end = 0  # of the last segment's last complete record, in bytes
        self.snapshot_index = 0
        self.entries: list[LogEntry] = []

    def look(self) -> Change | None:
        """Read what was synced since the last look; None where nothing was."""
        if self._syncs == self._disk.syncs:
            return None
        self._syncs = self._disk.syncs
        metadata = snapshot = None
        names = self._disk.synced
        content = names.get(METADATA_NAME)
        if content is not self._metadata:
            self._metadata = content
            metadata = Metadata.read(self._after_power_cut())
        content = names.get(SNAPSHOT_NAME)
        if content is not None and content is not self._snapshot:
            self._snapshot = content
            filesystem = self._after_power_cut()
            snapshot = Snapshot.read(filesystem, Metadata.read(filesystem).directory_id)
            self.snapshot_index = snapshot.index
        return self._look_at_log(metadata, snapshot)

    def _look_at_log(self, metadata: Metadata | None, snapshot: Snapshot | None) -> Change:
        named = [
            (first_index, content)
            for name, content in self._disk.synced.items()
            if (first_index := segment_first_index(name)) is not None
        ]
        segments = [
            (content, content.generation) for _, content in sorted(named, key=lambda pair: pair[0])
        ]
        if snapshot is None and segments == self._segments:
            kept_index = self.entries[-1].index if self.entries else self.snapshot_index
            appended = self._read_on(segments[-1][0]) if segments else []
            self.entries += appended
            return Change(metadata, None, kept_index, appended)
        self._segments = segments
        before = {entry.index: entry for entry in self.entries}
        self.entries = self._read_all()
        kept_index = self.snapshot_index
        for position, entry in enumerate(self.entries):
            if before.get(entry.index) != entry:
                return Change(metadata, snapshot, kept_index, self.entries[position:])
            kept_index = entry.index
        return Change(metadata, snapshot, kept_index, [])

    def _read_all(self) -> list[LogEntry]:
        entries: list[LogEntry] = []
        for content, _ in self._segments:
            self._end = HEADER_BYTES
            read = self._read_on(content)
            if entries and read and read[0].index != entries[-1].index + 1:
                entries = []  # before a hole is what a snapshot has superseded
            entries += read
        return [entry for entry in entries if entry.index > self.snapshot_index]

    def _read_on(self, content: Content) -> list[LogEntry]:
        """Read the complete records from `_end` on, and move it behind them."""
        entries = []
        data = content.synced
        while self._end + RECORD_BYTES <= len(data):
            try:
                entry, self._end = LogEntry.decode_from(data, self._end + _ENTRY_OFFSET)
            except TruncatedError:
                break
            entries.append(entry)
        return entries

    def _after_power_cut(self) -> SimulatedFilesystem:
        image = Disk()
        image.synced = self._disk.synced
        image.written = {
            name: Content(bytearray(content.synced)) for name, content in image.synced.items()
        }
        return SimulatedFilesystem(image)
