"""The files of a data directory: docs/formats.md, section 'On disk'."""

from dataclasses import dataclass
from typing import Any

from construct import (
    Bytes,
    Const,
    ConstError,
    GreedyBytes,
    Int8ul,
    Int16ul,
    Int32ul,
    Int64ul,
    Prefixed,
    StreamError,
    Struct,
    Terminated,
    TerminatedError,
)
from crc32c import crc32c

from fuzz.laws import Faults
from fuzz.specification import wire
from raft.errors import CorruptionError, UnsupportedFormatError
from raft.log_entry import EntryType, LogEntry
from raft.metadata import Metadata
from raft.segment import Tail
from raft.snapshot import Snapshot

_CORRUPT: Faults = frozenset({CorruptionError})
_UNSUPPORTED: Faults = frozenset({UnsupportedFormatError})

_PREAMBLE = Struct("magic" / Bytes(8), "version" / Int16ul, "zero" / Int16ul, "features" / Int32ul)
_METADATA = Struct(
    "preamble" / _PREAMBLE,
    "directory_id" / Int64ul,
    "group_id" / Int64ul,
    "node_id" / Int64ul,
    "current_term" / Int64ul,
    "has_vote" / Int8ul,
    "voted_for" / Int64ul,
    "durable_index" / Int64ul,
    "crc" / Int32ul,
    Terminated,
)
_SEGMENT_HEADER = Struct(
    "preamble" / _PREAMBLE,
    "directory_id" / Int64ul,
    "first_index" / Int64ul,
    "previous_term" / Int64ul,
    "durable_index" / Int64ul,
    "previous_crc" / Int32ul,
    "reserved" / Int32ul,
    "crc" / Int32ul,
)
_RECORD = Struct(
    "crc" / Int32ul,
    "previous_crc" / Int32ul,
    "durable_index" / Int64ul,
    "term" / Int64ul,
    "index" / Int64ul,
    "type" / Int8ul,
    "payload" / Prefixed(Int32ul, GreedyBytes),
)
_SNAPSHOT_HEADER = Struct(
    "preamble" / _PREAMBLE,
    "directory_id" / Int64ul,
    "index" / Int64ul,
    "term" / Int64ul,
    "peers" / Prefixed(Int32ul, GreedyBytes),
    "crc" / Int32ul,
    "chunks" / GreedyBytes,
)
_CHUNK = Struct("crc" / Int32ul, "data" / Prefixed(Int32ul, GreedyBytes), "rest" / GreedyBytes)
_END = Struct("crc" / Int32ul, "zero" / Const(0, Int32ul), "total_bytes" / Int64ul, Terminated)

_HEADER_BYTES = _SEGMENT_HEADER.sizeof()
_RECORD_BYTES = 37
_CHUNK_BYTES_MAX = 2**20


def metadata(data: bytes) -> Metadata | Faults:
    """Decode a `metadata` file."""
    if faults := _preamble_faults(data, b"RAFTMETA"):
        return faults
    try:
        fields = _METADATA.parse(data)
    except (StreamError, TerminatedError):
        return _CORRUPT
    vote_is_sound = fields.has_vote == 1 or (fields.has_vote, fields.voted_for) == (0, 0)
    if fields.crc != crc32c(data[:-4]) or not vote_is_sound:
        return _CORRUPT
    return Metadata(
        fields.directory_id,
        fields.group_id,
        fields.node_id,
        fields.current_term,
        fields.voted_for if fields.has_vote else None,
        fields.durable_index,
    )


def snapshot(data: bytes) -> tuple[Snapshot, tuple[bytes, ...]] | Faults:
    """Decode a `snapshot` file, whichever directory it belongs to: its header and its chunks."""
    if faults := _preamble_faults(data, b"RAFTSNAP"):
        return faults
    try:
        header = _SNAPSHOT_HEADER.parse(data)
    except StreamError:
        return _CORRUPT
    peers = wire.peer_list(header.peers)
    crc = crc32c(data[: len(data) - len(header.chunks) - 4])
    if header.crc != crc or isinstance(peers, frozenset):
        return _CORRUPT
    chunks = _chunks(header.chunks, crc)
    if chunks is None:
        return _CORRUPT
    return Snapshot(header.directory_id, header.index, header.term, peers), chunks


def _chunks(data: bytes, crc: int) -> tuple[bytes, ...] | None:
    """Decode what follows a snapshot's header; None where it is not good to its end."""
    chunks: list[bytes] = []
    while True:
        try:
            chunk = _CHUNK.parse(data)
            if not chunk.data:
                break
            crc = crc32c(data[4 : len(data) - len(chunk.rest)], crc)
            if crc != chunk.crc or len(chunk.data) > _CHUNK_BYTES_MAX:
                return None
        except StreamError:
            return None
        chunks.append(chunk.data)
        data = chunk.rest
    try:
        end = _END.parse(data)
    except (StreamError, ConstError, TerminatedError):
        return None
    if end.crc != crc32c(data[4:], crc) or end.total_bytes != sum(map(len, chunks)):
        return None
    return tuple(chunks)


@dataclass(frozen=True)
class SegmentReading:
    """What a segment holds up to the first place that is not good.

    The names are those of `raft.segment.Segment`; `flaw` is offset, index and whether it is torn.
    """

    before: Tail
    entries: tuple[LogEntry, ...]
    tail: Tail
    end: int
    durable_index: int
    flaw: tuple[int, int, bool] | None


def segment(
    data: bytes, first_index: int, directory_id: int, before: Tail | None
) -> SegmentReading | Faults:
    """Follow a segment; `before` is where the log ends without it, None if that is not known."""
    if _preamble_faults(data, b"RAFTSEGM") == _UNSUPPORTED:
        return _UNSUPPORTED
    expected = before or Tail(first_index - 1, 0, 0)
    nothing = SegmentReading(expected, (), expected, 0, 0, (0, expected.index + 1, False))
    if len(data) < _HEADER_BYTES:
        return _replace_flaw(nothing, torn=True)
    header = _SEGMENT_HEADER.parse(data)
    if _preamble_faults(data, b"RAFTSEGM") or header.crc != crc32c(data[: _HEADER_BYTES - 4]):
        return nothing
    if (header.directory_id, header.first_index, header.reserved) != (directory_id, first_index, 0):
        return _CORRUPT
    start = Tail(first_index - 1, header.previous_term, header.previous_crc)
    if before is not None and start != before:
        return SegmentReading(
            expected, (), expected, 0, header.durable_index, (0, expected.index + 1, False)
        )
    return _follow(data, start, header.durable_index, _seed(directory_id))


def largest_claim(data: bytes, offset: int, directory_id: int) -> int:
    """Find the largest durable index of a record from `offset` on that says what one may say."""
    largest = 0
    for start in range(offset, len(data) - _RECORD_BYTES + 1):
        size = int.from_bytes(data[start + _RECORD_BYTES - 4 : start + _RECORD_BYTES], "little")
        if start + _RECORD_BYTES + size > len(data):
            continue
        record = _record(data, start, _seed(directory_id))
        if record and record.durable_index < record.index and record.type <= max(EntryType):
            largest = max(largest, record.durable_index)
    return largest


def _follow(data: bytes, start: Tail, durable_index: int, seed: int) -> SegmentReading:
    tail = start
    entries: list[LogEntry] = []
    offset = _HEADER_BYTES
    flaw = None
    while offset < len(data):
        record = _record(data, offset, seed)
        entry = None if record is None else _continuing(record, tail)
        if record is None or entry is None:
            flaw = (offset, tail.index + 1, _is_cut(data, offset))
            break
        entries.append(entry)
        durable_index = max(durable_index, record.durable_index)
        tail = Tail(record.index, record.term, record.crc)
        offset += _RECORD_BYTES + len(record.payload)
    return SegmentReading(start, tuple(entries), tail, offset, durable_index, flaw)


def _record(data: bytes, offset: int, seed: int) -> Any:
    """Parse the record at `offset`; None where it is cut or its crc is wrong."""
    try:
        record = _RECORD.parse(data[offset:])
    except StreamError:
        return None
    end = offset + _RECORD_BYTES + len(record.payload)
    return record if crc32c(data[offset + 4 : end], seed) == record.crc else None


def _is_cut(data: bytes, offset: int) -> bool:
    try:
        _RECORD.parse(data[offset:])
    except StreamError:
        return True
    return False


def _continuing(record: Any, tail: Tail) -> LogEntry | None:
    """Return the entry of a record that may follow `tail`."""
    follows = (record.previous_crc, record.index) == (tail.crc, tail.index + 1)
    if not follows or record.term < tail.term or record.type > max(EntryType):
        return None
    kind = EntryType(record.type)
    if kind is EntryType.CONFIGURATION and isinstance(wire.peer_list(record.payload), frozenset):
        return None
    return LogEntry(record.term, record.index, kind, record.payload)


def _replace_flaw(reading: SegmentReading, *, torn: bool) -> SegmentReading:
    assert reading.flaw is not None
    offset, index, _ = reading.flaw
    return SegmentReading(
        reading.before,
        reading.entries,
        reading.tail,
        reading.end,
        reading.durable_index,
        (offset, index, torn),
    )


def _preamble_faults(data: bytes, magic: bytes) -> Faults:
    """Return what is wrong with a file's first 16 bytes; a later version is named first."""
    if len(data) < _PREAMBLE.sizeof():
        return _CORRUPT
    preamble = _PREAMBLE.parse(data)
    if preamble.magic != magic:
        return _CORRUPT
    if preamble.version != 2 or preamble.features:
        return _UNSUPPORTED
    return _CORRUPT if preamble.zero else frozenset()


def _seed(directory_id: int) -> int:
    return crc32c(directory_id.to_bytes(8, "little"))
