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
from raft.recovery import OLD_METADATA_NAME
from raft.segment import RECORD_BYTES, segment_name
from raft.snapshot import Snapshot
from raft.storage import Storage

NAMES: Final = 12
"""How many names files are given, other than those they have."""

_BATCHES_A_TERM: Final = 4
_STATE: Final = (b"state", b"machine")
_PEERS: Final = (Peer(1, PeerRole.VOTER, "one:1"), Peer(2, PeerRole.LEARNER, ""))


@dataclass(frozen=True)
class DataDirectory:
    """A directory as a kill left it.

    `entries` is all that was ever written to the log, from index 1 on. Those up to
    `acknowledged_index` were synced and promised; the rest is one batch that was not, and stands
    behind byte `tail_offset` of the file `tail_name`. `snapshot` is what the file of that name says
    of itself, and the state machine's bytes in it; None where there is none. `is_complete` says
    that nothing acknowledged is missing, `is_settled` that a start has nothing to change.
    `replaced` is the log in the place of which the snapshot has come, where that is on its way.
    """

    config: Config
    files: Mapping[str, bytes]
    entries: Sequence[LogEntry]
    acknowledged_index: int
    snapshot: tuple[Snapshot, bytes] | None
    tail_name: str
    tail_offset: int
    is_complete: bool = True
    is_settled: bool = True
    replaced: Sequence[LogEntry] = ()


def build_directories() -> tuple[DataDirectory, ...]:
    """Build one of each kind."""
    return (
        _build(number=0, batches=(1,)),
        _build(number=1, batches=(1, 1, 2, 3)),
        _build(number=2, batches=(1, 1, 1, 1, 1, 1, 1, 1, 2, 2), segment_bytes=200),
        _build(number=3, batches=(1, 3, 1, 1, 3, 1, 2), segment_bytes=160, snapshot_index=7),
        _build(number=4, batches=(1, 1, 1, 2), segment_bytes=160, snapshot_index=3),
        _build(number=5, batches=(4, 4, 4, 1), segment_bytes=100, closed=True),
        _build(number=6, batches=(1, 2, 1), incomplete=True),
        _build(number=7, batches=(1, 1, 1, 1), segment_bytes=1, snapshot_index=1),
        _build(number=8, batches=(1, 1, 1, 1), segment_bytes=1, snapshot_index=2, incomplete=True),
        _build_replaced(number=9, batches=(2, 1), snapshot_index=6),
        _build_replaced(number=10, batches=(2, 1), snapshot_index=3),
        _build_replaced(number=11, batches=(2, 1, 1, 1), snapshot_index=3, segment_bytes=1),
        _build(number=12, batches=(257, 3, 2, 2), segment_bytes=2000),
    )


def _build(
    *,
    number: int,
    batches: Sequence[int],
    segment_bytes: int = 2**20,
    snapshot_index: int = 0,
    closed: bool = False,
    incomplete: bool = False,
) -> DataDirectory:
    """Write batches of these sizes, the last one without an acknowledgement unless `closed`.

    An `incomplete` directory has been damaged and repaired: it waits for a leader.
    """
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
    if incomplete:
        storage.mark_incomplete()
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
        is_complete=not incomplete,
    )


def _build_replaced(
    *, number: int, batches: Sequence[int], snapshot_index: int, segment_bytes: int = 2**20
) -> DataDirectory:
    """Write a log, and put a leader's snapshot in its place: a kill comes before the log is reset.

    What is left of the log is from an earlier term than the snapshot, and none of it counts.
    """
    old = _build(number=number, batches=batches, segment_bytes=segment_bytes, closed=True)
    filesystem = MemoryFilesystem(old.files)
    storage = Storage(filesystem, old.config)
    term = storage.metadata.current_term + 1
    storage.save_term(term, None)
    writer = storage.begin_snapshot(snapshot_index, term, _PEERS)
    for chunk in _STATE:
        writer.append(chunk)
    writer.commit()
    storage.close()
    files = filesystem.files
    replaced = [_entry(term, index) for index in range(1, snapshot_index + 1)]
    snapshot = (writer.snapshot, b"".join(_STATE))
    return DataDirectory(
        old.config,
        files,
        replaced,
        snapshot_index,
        snapshot,
        old.tail_name,
        len(files[old.tail_name]),
        is_settled=False,
        replaced=old.entries,
    )


def _entry(term: int, index: int) -> LogEntry:
    if index == 1:
        return LogEntry(term, index, EntryType.CONFIGURATION, encode_peers(_PEERS))
    if index % 5 == 0:
        return LogEntry(term, index, EntryType.NOOP)
    return LogEntry(term, index, EntryType.NORMAL, b"command %d" % index)


def other_name(number: int) -> str:
    """Name a file that a data directory may have, of ours or of raft.cr, whether or not one has it.

    `number` is below `NAMES`.
    """
    names = ("metadata", "metadata.tmp", "snapshot", "snapshot.tmp")
    if number == NAMES - 1:
        return OLD_METADATA_NAME
    return names[number] if number < len(names) else segment_name(number - len(names) + 1)
