"""What raft.cr makes of its own data directory (v1: `docs/formats.md`, 'A raft.cr data directory').

The format has no checksums: a record counts as good if it decodes, its index follows and its term
does not fall. raft.cr itself checks less; what it would take for an entry (zeros, for one) is
reported here. `transport_peers` belongs to the TCP transport and promises nothing: it is not read.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from durability.audit.cursor import Cursor, MalformedError
from durability.audit.data_directory import DataDirectory, printable
from durability.audit.log_entry import ENTRY, Entry, EntryType
from durability.audit.peer import Peer, decode_peers, decode_peers_whole
from durability.audit.recovered import (
    MAX_INDEX,
    DirectoryAudit,
    RecoveredDirectory,
    Snapshot,
    judge_configurations,
    judge_temporaries,
    judge_term_and_vote,
)

LOG_NAME: Final = re.compile(r"[0-9]{16}\.log")
TEMPORARIES: Final = ("raft_meta.tmp", "snapshot.tmp")
FILES: Final = ("raft_meta", "snapshot", "transport_peers", *TEMPORARIES)

_META: Final = struct.Struct("<QQB")
_SNAPSHOT: Final = struct.Struct("<QQI")
_U64: Final = struct.Struct("<Q")


@dataclass(frozen=True)
class RaftMeta:
    """The content of `raft_meta`; `voted_for` is None where the node has not voted in this term."""

    current_term: int
    commit_index: int
    voted_for: int | None
    peers: tuple[Peer, ...]


def decode_raft_meta(data: bytes) -> RaftMeta:
    """Read `raft_meta`.

    Raises:
        MalformedError: it is not whole, or more than whole.
    """
    cursor = Cursor(data)
    term, commit_index, has_vote = cursor.unpack(_META, "the metadata")
    if has_vote > 1:
        raise MalformedError(_META.size - 1, f"has_vote is {has_vote}")
    voted_for = cursor.unpack(_U64, "the vote")[0] if has_vote else None
    peers = decode_peers(cursor)
    cursor.finish("the metadata")
    return RaftMeta(term, commit_index, voted_for, peers)


def decode_snapshot(data: bytes) -> Snapshot:
    """Read `snapshot`.

    Raises:
        MalformedError: its header is not whole; the state machine's bytes are taken as they are.
    """
    cursor = Cursor(data)
    index, term, peers_bytes = cursor.unpack(_SNAPSHOT, "the header")
    if index > MAX_INDEX:
        raise MalformedError(0, f"index {index} is beyond any log")
    peers = decode_peers_whole(cursor.take(peers_bytes, "the peer list"))
    return Snapshot(index, term, peers, cursor.take(cursor.remaining, "the state"))


def read_raftcr(directory: DataDirectory, *, recovered: bool) -> RecoveredDirectory:
    """Recover a v1 directory in memory and judge it; `recovered` says that the node already did.

    Raises:
        UnreadableError: a file is gone or may not be read.
    """
    audit = DirectoryAudit(path=printable(directory.path), format="raft.cr v1")
    judge_temporaries(audit, directory.names, TEMPORARIES, recovered=recovered)
    names = [name for name in directory.names if LOG_NAME.fullmatch(name)]
    if "raft_meta" not in directory.names:
        if names or "snapshot" in directory.names:
            audit.violate("corrupt", "raft_meta: missing beside a log or a snapshot")
        return RecoveredDirectory(audit)

    file = "raft_meta"
    snapshot: Snapshot | None = None
    try:
        meta = decode_raft_meta(directory.read(file))
        audit.term, audit.voted_for = meta.current_term, meta.voted_for
        audit.commit_index = meta.commit_index
        if "snapshot" in directory.names:
            file = "snapshot"
            snapshot = decode_snapshot(directory.read(file))
            audit.snapshot_index, audit.snapshot_term = snapshot.index, snapshot.term
    except MalformedError as error:
        audit.violate_malformed(file, error)
        audit.notes.append(f"the log was not read: its place depends on {file}")
        return RecoveredDirectory(audit)

    entries = _recover_log(audit, directory, names, recovered=recovered)
    if audit.commit_index > audit.last_index:
        audit.violate(
            "commit-beyond-log",
            f"raft_meta says that entry {audit.commit_index} is committed, the log that can be"
            f" recovered ends at {audit.last_index}",
        )
    judge_configurations(audit, entries, snapshot)
    audit.peers = meta.peers  # raft.cr recovers the configuration from here, not from the log
    judge_term_and_vote(audit)
    return RecoveredDirectory(audit, entries, snapshot)


def _recover_log(
    audit: DirectoryAudit, directory: DataDirectory, names: Sequence[str], *, recovered: bool
) -> list[Entry]:
    """Follow the log files, fill in where the log ends, and return its entries."""
    entries: list[Entry] = []
    next_index = None
    for name in names:
        first_index = int(name.partition(".")[0])
        expected = min(first_index, audit.snapshot_index + 1) if next_index is None else next_index
        if expected < first_index <= audit.snapshot_index + 1:
            # Everything missing here is in the snapshot: an unlink that a power cut undid.
            audit.notes.append(f"{name}: the snapshot covers the hole in the log before it")
            entries.clear()
        elif first_index != expected:
            audit.violate("log-gap", f"{name} follows where entry {expected} is next")
            break
        defect = _read_log_file(directory, name, first_index, entries)
        next_index = entries[-1].index + 1 if entries else first_index
        if defect is None:
            continue
        what = f"{name}: {defect}"
        if not defect.cut:
            audit.violate(defect.kind, what)
            break
        audit.tail = "torn"
        if recovered:
            audit.violate("unclean-tail", what)
        else:
            audit.notes.append(f"torn tail, which recovery truncates: {what}")

    audit.last_index, audit.last_term = audit.snapshot_index, audit.snapshot_term
    if entries and entries[-1].index >= audit.snapshot_index:
        audit.last_index, audit.last_term = entries[-1].index, entries[-1].term
    audit.first_index = entries[0].index if entries else audit.last_index + 1
    for entry in entries:
        if entry.index == audit.snapshot_index and entry.term != audit.snapshot_term:
            audit.violate(
                "snapshot-mismatch",
                f"entry {entry.index} is of term {entry.term} in the log, of term"
                f" {audit.snapshot_term} in the snapshot",
            )
    return entries


def _read_log_file(
    directory: DataDirectory, name: str, first_index: int, entries: list[Entry]
) -> MalformedError | None:
    """Add a file's records to the entries before them; return what comes instead of its end."""
    index = first_index
    term = entries[-1].term if entries else 0
    try:
        cursor = Cursor(directory.read(name))
        while cursor.remaining:
            entry = _take_entry(cursor, index, term)
            entries.append(entry)
            index, term = index + 1, entry.term
    except MalformedError as error:
        return error
    return None


def _take_entry(cursor: Cursor, index: int, previous_term: int) -> Entry:
    at = cursor.offset
    term, own_index, entry_type, size = cursor.unpack(ENTRY, "an entry")
    payload = cursor.take(size, "an entry", at)
    if own_index != index:
        raise MalformedError(at + 8, f"an entry has index {own_index} where {index} follows")
    if term < previous_term:
        raise MalformedError(at, f"entry {index} is of term {term} after one of {previous_term}")
    if entry_type >= len(EntryType):
        raise MalformedError(at + 16, f"entry {index} has the unknown type {entry_type}")
    return Entry(index, term, EntryType(entry_type), payload)
