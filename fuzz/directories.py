"""Data directories in known states, and what had been promised when each was left.

They are made by the storage under test, the same ones each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fuzz.disk import MemoryFilesystem
from raft.config import Config
from raft.log_entry import EntryType, LogEntry
from raft.peer import Peer, PeerRole, encode_peers
from raft.segment import RECORD_BYTES, segment_name
from raft.snapshot import Snapshot
from raft.storage import Storage

_BATCHES_A_TERM: Final = 4
_STATE: Final = (b"state", b"machine")
_PEERS: Final = (Peer(1, PeerRole.VOTER, "one:1"), Peer(2, PeerRole.LEARNER, ""))


@dataclass(frozen=True)
class DataDirectory:
    """A directory as a kill left it.

    `entries` is all that was ever written to the log, from index 1 on. Those up to
    `acknowledged_index` were synced and promised; the rest is one batch that was not, and stands
    behind byte `tail_offset` of the file `tail_name`. `snapshot` is what the file of that name says
    of itself, and the state machine's bytes in it; None where there is none.
    """

    config: Config
    files: Mapping[str, bytes]
    entries: Sequence[LogEntry]
    acknowledged_index: int
    snapshot: tuple[Snapshot, bytes] | None
    tail_name: str
    tail_offset: int


def build_directories() -> tuple[DataDirectory, ...]:
    """Build one of each kind."""
    return (
        _build(number=0, batches=(1,)),
        _build(number=1, batches=(1, 1, 2, 3)),
        _build(number=2, batches=(1, 1, 1, 1, 1, 1, 1, 1, 2, 2), segment_bytes=200),
        _build(number=3, batches=(1, 3, 1, 1, 3, 1, 2), segment_bytes=160, snapshot_index=7),
        _build(number=4, batches=(1, 1, 1, 2), segment_bytes=160, snapshot_index=3),
        _build(number=5, batches=(4, 4, 4, 1), segment_bytes=100, closed=True),
    )


def _build(
    *,
    number: int,
    batches: Sequence[int],
    segment_bytes: int = 2**20,
    snapshot_index: int = 0,
    closed: bool = False,
) -> DataDirectory:
    """Write batches of these sizes, the last one without an acknowledgement unless `closed`."""
    config = Config(node_id=1, group_id=number, max_segment_bytes=segment_bytes, random_seed=number)
    filesystem = MemoryFilesystem({})
    storage = Storage(filesystem, config)
    entries: list[LogEntry] = []
    for position, size in enumerate(batches):
        term = 1 + position // _BATCHES_A_TERM
        if term != storage.metadata.current_term:
            storage.save_term(term, 1 if term % 2 else None)
        batch = [_entry(term, len(entries) + offset) for offset in range(1, size + 1)]
        if len(entries) >= snapshot_index > storage.log.first_index - 1:
            storage.save_snapshot(snapshot_index, _PEERS, _STATE)
        storage.append(batch)
        entries += batch
    tail = entries[len(entries) if closed else len(entries) - batches[-1] :]
    if closed:
        storage.pin()
    storage.close()
    files = filesystem.files
    tail_name = max(name for name in files if name.endswith(".segment"))
    tail_bytes = sum(RECORD_BYTES + len(entry.data) for entry in tail)
    return DataDirectory(
        config,
        files,
        entries,
        len(entries) - len(tail),
        None if storage.snapshot is None else (storage.snapshot, b"".join(_STATE)),
        tail_name,
        len(files[tail_name]) - tail_bytes,
    )


def _entry(term: int, index: int) -> LogEntry:
    if index == 1:
        return LogEntry(term, index, EntryType.CONFIGURATION, encode_peers(_PEERS))
    if index % 5 == 0:
        return LogEntry(term, index, EntryType.NOOP)
    return LogEntry(term, index, EntryType.NORMAL, b"command %d" % index)


def other_name(number: int) -> str:
    """Name a file that a data directory may have, whether or not one has it."""
    names = ("metadata", "metadata.tmp", "snapshot", "snapshot.tmp")
    return names[number] if number < len(names) else segment_name(number - len(names) + 1)
