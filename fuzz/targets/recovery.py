"""Invariant tested: recovery keeps what was acknowledged, invents nothing, or refuses unchanged.

An input is a program of damages to one of a few data directories (`fuzz.damage`). What must hold:

- nothing but a StorageError leaves recovery, and then nothing but temporaries has been changed;
- what is recovered is a beginning of what was written, and reaches at least to what was
  acknowledged if only the unsynced tail is damaged: unless checksums have been forged;
- recovery is idempotent: a second one finds the same, clean, and changes nothing;
- recovery may be killed at any operation: the next one finds the same;
- what was recovered can be gone on with: an entry more is there after the next start;
- what nobody has damaged is left as it is, and belongs to one node of one group;
- with `repair_from_peers` the same comes out where nothing was lost; else the log up to what was,
  in a term of its own, and written down as incomplete; refused are damaged metadata, and the files
  of another directory;
- the auditor, a second implementation of docs/formats.md, comes to the same end.
"""

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from durability.audit.directory import audit_directory
from fuzz.damage import PROGRAM, DamagedDirectory, damage
from fuzz.directories import DataDirectory, build_directories
from fuzz.disk import KilledError, MemoryFilesystem
from fuzz.laws import BrokenLawError
from fuzz.target import Target
from raft.config import Config
from raft.errors import (
    CorruptionError,
    StorageError,
    UnsupportedFormatError,
    WrongDirectoryError,
)
from raft.filesystem import Filesystem
from raft.log_entry import LogEntry
from raft.metadata import METADATA_NAME, Metadata
from raft.recovery import OLD_METADATA_NAME, Recovery
from raft.snapshot import Snapshot
from raft.storage import Storage

_DIRECTORIES: Final = build_directories()
_TEMPORARIES: Final = frozenset({"metadata.tmp", "snapshot.tmp"})
_RAM_DISK: Final = "/dev/shm"  # noqa: S108 - the directories made in it are private and removed
_DIRECTORY_ID_OFFSET: Final = 16
"""Where a CorruptionError finds a segment to be of another directory, or another index."""

_MAX_INDEX: Final = 2**63


@dataclass(frozen=True)
class _State:
    """What a recovered node goes on from."""

    term: int
    voted_for: int | None
    snapshot: Snapshot | None
    state: bytes
    first_index: int
    last_index: int
    last_term: int
    entries: tuple[LogEntry, ...]
    is_complete: bool


def check(data: bytes) -> None:
    """Recover what a program of damages leaves, and hold the outcome against every law."""
    damaged = damage(data, _DIRECTORIES)
    if damaged is not None:
        outcome = _check_recovery(damaged)
        _check_repair(damaged, outcome)
        if not damaged.sealed:
            _check_audit(damaged, outcome)


def _check_recovery(damaged: DamagedDirectory) -> tuple[_State, Recovery] | StorageError:
    """Check every law but the auditor's; return what was recovered, or why it was refused."""
    config = damaged.origin.config
    filesystem = MemoryFilesystem(damaged.files)
    try:
        state, recovery = _recover(filesystem, config)
    except StorageError as error:
        _check_refusal(damaged, filesystem, error)
        return error
    files = filesystem.files
    if not _TEMPORARIES.isdisjoint(files):
        raise BrokenLawError(f"recovered, and {sorted(files)} are there")
    if not damaged.sealed:
        _check_kept(damaged, state)
    if damaged.files == damaged.origin.files and damaged.origin.is_settled:
        _check_untouched(damaged, state, files)
    again = MemoryFilesystem(files)
    second = _recover(again, config)
    if second != (state, Recovery()) or again.files != files:
        raise BrokenLawError(f"recovered again, {second}; before, {state}")
    if damaged.operations_left is not None:
        _check_killed(damaged, state, damaged.operations_left)
    if state.last_index < _MAX_INDEX:
        _check_append(files, config, state)
    return state, recovery


def _recover(filesystem: Filesystem, config: Config) -> tuple[_State, Recovery]:
    storage = Storage(filesystem, config)
    state = _State(
        storage.metadata.current_term,
        storage.metadata.voted_for,
        storage.snapshot,
        _snapshot_bytes(storage),
        storage.log.first_index,
        storage.log.last_index,
        storage.log.last_term,
        tuple(storage.log.entries()),
        storage.metadata.is_complete,
    )
    storage.close()
    return state, storage.recovery


def _snapshot_bytes(storage: Storage) -> bytes:
    if storage.snapshot is None:
        return b""
    reader = storage.open_snapshot()
    try:
        return b"".join(reader.chunks())
    finally:
        reader.close()


def _check_refusal(
    damaged: DamagedDirectory, filesystem: MemoryFilesystem, error: StorageError
) -> None:
    left = dict(damaged.files)
    if not isinstance(error, UnsupportedFormatError):
        left = {name: data for name, data in left.items() if name not in _TEMPORARIES}
    # What another version has written is its own, temporaries and all.
    if filesystem.files != left:
        raise BrokenLawError(f"it was changed and then refused: {error}") from error
    if damaged.only_tail_is_damaged and not damaged.sealed:
        raise BrokenLawError(f"only its unsynced tail is damaged: {error}") from error
    filesystem.lock()


def _check_kept(damaged: DamagedDirectory, state: _State) -> None:
    origin = damaged.origin
    _check_written(origin, state)
    if state.snapshot is not None and (state.snapshot, state.state) != origin.snapshot:
        raise BrokenLawError(f"{state.snapshot} recovered, {origin.snapshot} was written")
    if damaged.only_tail_is_damaged and state.last_index < origin.acknowledged_index:
        raise BrokenLawError(
            f"entries up to {state.last_index} recovered, "
            f"those up to {origin.acknowledged_index} were acknowledged"
        )


def _check_written(origin: DataDirectory, state: _State) -> None:
    """Check that each entry is what was written there; without its snapshot the old log counts."""
    log = origin.replaced if state.snapshot is None and origin.replaced else origin.entries
    written = tuple(log[state.first_index - 1 : state.last_index])
    if state.entries != written:
        raise BrokenLawError(f"entries {state.entries} recovered, {written} were written")


def _check_untouched(damaged: DamagedDirectory, state: _State, files: dict[str, bytes]) -> None:
    """Recover what nothing has happened to: for another node, too, whose it is not."""
    if files != damaged.files or state.is_complete != damaged.origin.is_complete:
        raise BrokenLawError(f"nothing was wrong, and it was changed: {state}")
    config = damaged.origin.config
    for other in (
        dataclasses.replace(config, node_id=config.node_id + 1),
        dataclasses.replace(config, group_id=config.group_id + 1),
    ):
        try:
            _recover(MemoryFilesystem(files), other)
        except WrongDirectoryError:
            continue
        raise BrokenLawError(f"{other} has opened the directory of {config}")


def _check_repair(
    damaged: DamagedDirectory, outcome: tuple[_State, Recovery] | StorageError
) -> None:
    """Have the same files recovered where damage may be given up, for a leader to replace."""
    config = dataclasses.replace(damaged.origin.config, repair_from_peers=True)
    filesystem = MemoryFilesystem(damaged.files)
    try:
        repaired = _recover(filesystem, config)
    except StorageError as error:
        is_due = isinstance(outcome, StorageError) and (
            not isinstance(error, CorruptionError)
            or error.path == METADATA_NAME
            or error.offset == _DIRECTORY_ID_OFFSET
        )
        if not is_due:
            raise BrokenLawError(f"{outcome}; to be repaired, and refused: {error}") from error
        return
    state, recovery = repaired
    if not isinstance(outcome, StorageError):
        if repaired != outcome:
            raise BrokenLawError(f"nothing to repair in {outcome}; repaired: {repaired}")
        return
    if not isinstance(outcome, CorruptionError) or recovery.tail != "corrupt":
        raise BrokenLawError(f"{outcome}; repaired, it is {recovery}")
    _check_given_up(damaged, outcome, state)
    again = _recover(MemoryFilesystem(filesystem.files), config)
    # A forged record may claim that more than all is durable, and is repaired for ever.
    if not damaged.sealed and again != (state, Recovery()):
        raise BrokenLawError(f"repaired, then {again}; before, {state}")


def _check_given_up(damaged: DamagedDirectory, damage: CorruptionError, state: _State) -> None:
    """Check that what is left says of itself that something was lost, and lacks no more than that.

    A snapshot that was damaged is gone, and with it the beginning of the log.
    """
    metadata = Metadata.read(MemoryFilesystem(damaged.files))
    if state.is_complete or (state.term, state.voted_for) != (metadata.current_term + 1, None):
        raise BrokenLawError(f"given up by {metadata}, and it says {state}")
    base_index = state.snapshot.index if state.snapshot else 0
    last_index = damage.index - 1 if damage.index is not None and state.entries else base_index
    if damage.index is not None and state.last_index != last_index:
        raise BrokenLawError(f"{damage}; and the log ends at {state.last_index}")
    if not damaged.sealed:
        _check_written(damaged.origin, state)


def _check_killed(damaged: DamagedDirectory, state: _State, operations_left: int) -> None:
    filesystem = MemoryFilesystem(damaged.files, operations_left)
    try:
        _recover(filesystem, damaged.origin.config)
    except KilledError:
        after, _ = _recover(MemoryFilesystem(filesystem.files), damaged.origin.config)
        if after != state:
            raise BrokenLawError(f"killed in recovery, then {after}; else {state}") from None


def _check_append(files: Mapping[str, bytes], config: Config, state: _State) -> None:
    filesystem = MemoryFilesystem(files)
    storage = Storage(filesystem, config)
    storage.append([LogEntry(state.term, state.last_index + 1)])
    storage.close()
    after, recovery = _recover(filesystem, config)
    if (after.last_index, recovery) != (state.last_index + 1, Recovery()):
        raise BrokenLawError(f"an entry was appended to {state}; recovered: {after}")


def _check_audit(
    damaged: DamagedDirectory, outcome: tuple[_State, Recovery] | StorageError
) -> None:
    """Have the files, which no forger has touched, audited before recovery."""
    if not damaged.files:
        return
    ram_disk = _RAM_DISK if os.access(_RAM_DISK, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=ram_disk) as path:
        for name, content in damaged.files.items():
            with open(os.path.join(path, name), "wb") as file:
                file.write(content)
        audit = audit_directory(path)
    reasons = [violation.message for violation in audit.violations]
    if isinstance(outcome, StorageError):
        # The auditor is not told whose directory it should be, and reads none of two formats.
        unread = OLD_METADATA_NAME in damaged.files
        if not reasons and not unread and not isinstance(outcome, WrongDirectoryError):
            raise BrokenLawError(f"{outcome}; and the auditor finds nothing: {audit}")
        return
    if reasons:
        raise BrokenLawError(f"recovered, and the auditor objects: {reasons}")
    state, recovery = outcome
    found = (state.term, state.voted_for, state.last_index, state.last_term, recovery.tail)
    audited = (audit.term, audit.voted_for, audit.last_index, audit.last_term, audit.tail)
    if found != audited:
        raise BrokenLawError(f"recovered: {found}; the auditor: {audited}")


TARGET: Final = Target(check=check, probe=check, layout=PROGRAM)
