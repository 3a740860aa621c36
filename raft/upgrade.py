"""Upgrading a data directory of raft.cr (format version 1) to this node's (version 2), in place.

A node refuses such a directory, since what follows cannot be undone; `upgrade` is called once,
while no node runs there. As long as `raft_meta` is in the directory the upgrade is not complete. A
crash at any moment leaves a directory that `upgrade` brings to the same result:

    1. the snapshot is rewritten, in the place of the old one: the magic tells which one it is
    2. the log is written beside the old one; what an earlier attempt has left of it goes first
    3. metadata is written: from here on the new files count
    4. the old log is removed, and, once that is durable, `raft_meta`

Version 1 has no checksums: a record is good if it decodes, follows the one before, and its term
does not fall. The layouts are those of docs/formats.md, section 'A raft.cr data directory'.
"""

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from raft.config import Config
from raft.errors import CorruptionError, DecodeError, TruncatedError, WrongDirectoryError
from raft.filesystem import File, Filesystem, LocalFilesystem, read_all
from raft.log import Log
from raft.log_entry import LogEntry
from raft.metadata import METADATA_NAME, Metadata, draw_directory_id
from raft.peer import Peer, decode_peers
from raft.preamble import begins_with, checksum_seed
from raft.recovery import OLD_METADATA_NAME
from raft.segment import segment_first_index
from raft.snapshot import MAX_CHUNK_BYTES, SNAPSHOT_MAGIC, SNAPSHOT_NAME, Snapshot, SnapshotReader

_OLD_LOG = re.compile(r"\d{16}\.log", re.ASCII)
_TEMPORARIES = ("raft_meta.tmp", "snapshot.tmp", "metadata.tmp")
_METADATA = struct.Struct("<QQB")
_VOTE = struct.Struct("<Q")
_SNAPSHOT = struct.Struct("<QQI")
_ENTRIES_A_WRITE = 1000


def upgrade(config: Config, directory: str | os.PathLike[str] | Filesystem) -> bool:
    """Upgrade the directory of the node that `config` names; False where it is not of raft.cr.

    Entries behind a torn record at the end of the log are dropped, as raft.cr does. What a command
    means, and a snapshot's bytes, is the state machine's business: they are taken as they are.

    Raises:
        DirectoryLockedError: a node runs there.
        WrongDirectoryError: the node is no member of the group.
        CorruptionError: something cannot be read, or a committed entry is missing. Nothing was
            changed.
        DiskError: call it again when the disk works.
    """
    if isinstance(directory, str | os.PathLike):
        directory = LocalFilesystem(directory)
    try:
        directory.lock()
        if OLD_METADATA_NAME not in directory.names():
            return False
        directory.sync()  # an attempt that was killed may have left names unsynced
        if METADATA_NAME not in directory.names():
            _convert(directory, config)
        _remove(directory, [name for name in directory.names() if _OLD_LOG.fullmatch(name)])
        _remove(directory, [OLD_METADATA_NAME])
    finally:
        directory.close()
    return True


@dataclass(frozen=True, slots=True)
class _OldMetadata:
    """What `raft_meta` says. raft.cr stores with each commit how far it goes."""

    current_term: int
    commit_index: int
    voted_for: int | None
    peers: tuple[Peer, ...]


def _convert(filesystem: Filesystem, config: Config) -> None:
    """Steps 1 to 3. Everything is read and judged before anything is changed."""
    old = _read_metadata(filesystem)
    if old.peers and config.node_id not in {peer.id for peer in old.peers}:
        raise WrongDirectoryError(
            f"node {config.node_id} is no member of the group in {filesystem.path()}"
        )
    directory_id = draw_directory_id(config)
    snapshot, state_offset = _read_snapshot(filesystem, directory_id)
    entries = _read_log(filesystem, snapshot, old)

    names = filesystem.names()
    begun = [name for name in names if segment_first_index(name) is not None]
    _remove(filesystem, [name for name in _TEMPORARIES if name in names])
    _remove(filesystem, begun)
    if state_offset:
        file = filesystem.open(SNAPSHOT_NAME)
        try:
            snapshot.write(filesystem, _chunks(file, state_offset))
        finally:
            file.close()
    log = Log(
        filesystem,
        snapshot.directory_id,
        config.max_segment_bytes,
        snapshot_index=snapshot.index,
        snapshot_term=snapshot.term,
        segments=[],
        entries=[],
        last_crc=checksum_seed(snapshot.directory_id),
    )
    try:
        for start in range(0, len(entries), _ENTRIES_A_WRITE):
            log.write(entries[start : start + _ENTRIES_A_WRITE])
        log.sync()
    finally:
        log.close()
    Metadata(
        snapshot.directory_id,
        config.group_id,
        config.node_id,
        old.current_term,
        old.voted_for,
        log.durable_index,
    ).write(filesystem)


def _read_metadata(filesystem: Filesystem) -> _OldMetadata:
    path = filesystem.path(OLD_METADATA_NAME)
    data = read_all(filesystem, OLD_METADATA_NAME)
    offset = _METADATA.size
    try:
        term, commit_index, has_vote = _METADATA.unpack_from(data)
        voted_for = None
        if has_vote:
            (voted_for,) = _VOTE.unpack_from(data, offset)
            offset += _VOTE.size
        return _OldMetadata(term, commit_index, voted_for, decode_peers(data[offset:]))
    except (struct.error, DecodeError) as error:
        raise CorruptionError(path, 0, None, f"it cannot be read: {error}") from error


def _read_snapshot(filesystem: Filesystem, directory_id: int) -> tuple[Snapshot, int]:
    """Read what the snapshot says of itself, and where the state begins in an old one.

    The offset is 0 where nothing has to be rewritten: there is none, or an earlier attempt did it.
    Then the directory's id is that one's.
    """
    if SNAPSHOT_NAME not in filesystem.names():
        return Snapshot(directory_id, 0, 0, ()), 0
    if begins_with(filesystem, SNAPSHOT_NAME, SNAPSHOT_MAGIC):
        reader = SnapshotReader(filesystem)
        reader.close()
        return Snapshot.read(filesystem, reader.snapshot.directory_id), 0
    file = filesystem.open(SNAPSHOT_NAME)
    try:
        index, term, peers_bytes = _SNAPSHOT.unpack(file.read(0, _SNAPSHOT.size))
        end = _SNAPSHOT.size + peers_bytes
        if end > file.size():
            raise TruncatedError(f"a peer list of {peers_bytes} bytes")
        peers = decode_peers(file.read(_SNAPSHOT.size, peers_bytes))
        return Snapshot(directory_id, index, term, peers), end
    except (struct.error, DecodeError) as error:
        path = filesystem.path(SNAPSHOT_NAME)
        raise CorruptionError(path, 0, None, f"it cannot be read: {error}") from error
    finally:
        file.close()


def _chunks(file: File, offset: int) -> Iterator[bytes]:
    while chunk := file.read(offset, MAX_CHUNK_BYTES):
        yield chunk
        offset += len(chunk)


def _read_log(filesystem: Filesystem, snapshot: Snapshot, old: _OldMetadata) -> list[LogEntry]:
    """Read the entries above the snapshot, up to a record at the end that is not whole."""
    names = sorted(name for name in filesystem.names() if _OLD_LOG.fullmatch(name))
    entries: list[LogEntry] = []
    path, end = filesystem.path(), 0
    for name in names:
        first_index = int(name.partition(".")[0])
        last_index = entries[-1].index if entries else snapshot.index
        if last_index + 1 < first_index <= snapshot.index + 1:
            entries = []  # the snapshot has what is missing: a file that was removed is back
        elif first_index > last_index + 1:
            raise CorruptionError(path, end, last_index + 1, f"{name} follows entry {last_index}")
        path = filesystem.path(name)
        read, end = _read_file(read_all(filesystem, name), path, first_index)
        entries += read
    for before, entry in pairwise((LogEntry(0, 0), *entries)):
        if not before.term <= entry.term <= old.current_term:
            reason = f"it is of term {entry.term}, after {before.term}, in term {old.current_term}"
            raise CorruptionError(path, end, entry.index, reason)
    last_index = max(entries[-1].index if entries else 0, snapshot.index)
    if last_index < old.commit_index:
        reason = f"the log ends at {last_index}, and entry {old.commit_index} was committed"
        raise CorruptionError(path, end, last_index + 1, reason)
    return [entry for entry in entries if entry.index > snapshot.index]


def _read_file(data: bytes, path: str, first_index: int) -> tuple[list[LogEntry], int]:
    """Read a file's records up to one that is not whole; say, too, where the good ones end."""
    entries: list[LogEntry] = []
    offset = 0
    while offset < len(data):
        try:
            entry, end = LogEntry.decode_from(data, offset)
        except TruncatedError:
            break
        except DecodeError as error:
            raise CorruptionError(path, offset, None, str(error)) from error
        index = first_index + len(entries)
        if entry.index != index:
            raise CorruptionError(path, offset, index, f"entry {entry.index} is in its place")
        entries.append(entry)
        offset = end
    return entries, offset


def _remove(filesystem: Filesystem, names: list[str]) -> None:
    """Remove files, durably."""
    for name in names:
        filesystem.unlink(name)
    if names:
        filesystem.sync()
