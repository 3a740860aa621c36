"""The files of our own node's data directory, one by one (`docs/formats.md`, 'On disk').

What a file says by itself; what the files say together is `raft_v2.py`'s. Nothing here is taken
from the node: the two meet in the document only.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from crc32c import crc32c

from durability.audit.cursor import Cursor, MalformedError
from durability.audit.log_entry import Entry, EntryType
from durability.audit.peer import decode_peers_whole
from durability.audit.recovered import MAX_INDEX, Snapshot

_PREAMBLE: Final = struct.Struct("<8sHHI")
_METADATA: Final = struct.Struct("<QQQQBQQI")
_SEGMENT: Final = struct.Struct("<QQQQIII")
_SNAPSHOT: Final = struct.Struct("<QQQI")
_RECORD: Final = struct.Struct("<IIQQQBI")
_CHUNK: Final = struct.Struct("<II")
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_RECORD_TYPE_OFFSET: Final = 32

_VERSION: Final = 2
_SEGMENT_MAGIC: Final = b"RAFTSEGM"
_HEADER_BYTES: Final = _PREAMBLE.size + _SEGMENT.size
_CHUNK_BYTES_MAX: Final = 2**20


@dataclass(frozen=True)
class Metadata:
    """What a node must not forget; `voted_for` is None where it has not voted in this term."""

    directory_id: int
    group_id: int
    node_id: int
    current_term: int
    voted_for: int | None
    durable_index: int


@dataclass(frozen=True)
class SegmentHeader:
    """How a segment continues the one before it."""

    first_index: int
    previous_term: int
    durable_index: int
    previous_crc: int


@dataclass(frozen=True)
class Segment:
    """A segment as far as it can be followed.

    `header` is None where that is bad itself. `entries` are those of the good records; `last_crc`
    and `last_term` are the last good one's, or the header's. `defect` is what comes next instead of
    the end of the file. `durable_index` is the largest in the whole file, behind the defect too.
    """

    name: str
    first_index: int
    header: SegmentHeader | None
    entries: Sequence[Entry]
    last_term: int
    last_crc: int
    defect: MalformedError | None
    durable_index: int

    @property
    def next_index(self) -> int:
        """The index that the next record, here or in the next segment, must have."""
        return self.first_index + len(self.entries)


def decode_metadata(data: bytes) -> Metadata:
    """Read `metadata`.

    Raises:
        MalformedError: it is not whole, or of a version or with a feature that is not known here.
    """
    cursor = Cursor(data)
    _take_preamble(cursor, b"RAFTMETA")
    directory_id, group_id, node_id, term, has_vote, voted_for, durable_index, crc = cursor.unpack(
        _METADATA, "the metadata"
    )
    cursor.finish("the metadata")
    _check_crc(crc, crc32c(data[:-4]), len(data) - 4, "the metadata")
    if has_vote > 1 or (not has_vote and voted_for):
        raise MalformedError(48, f"has_vote is {has_vote} and voted_for {voted_for}")
    return Metadata(
        directory_id, group_id, node_id, term, voted_for if has_vote else None, durable_index
    )


# Directories that are audited one after another mostly share files: before and after a recovery,
# and between neighbouring crash states. Hence this cache, and that of `_follow`.
@lru_cache(maxsize=16)
def decode_snapshot(data: bytes, directory_id: int) -> Snapshot:
    """Read and verify a whole `snapshot`.

    Raises:
        MalformedError: any part of it is bad, or it belongs to another directory.
    """
    cursor = Cursor(data)
    _take_preamble(cursor, b"RAFTSNAP")
    owner, index, term, peers_bytes = cursor.unpack(_SNAPSHOT, "the header")
    peers_offset = cursor.offset
    peers_data = cursor.take(peers_bytes, "the peer list")
    crc_offset = cursor.offset
    (crc,) = cursor.unpack(_U32, "the header's crc")
    _check_crc(crc, crc32c(data[:crc_offset]), crc_offset, "the header")
    _check_owner(owner, directory_id)
    _check_index(index)
    try:
        peers = decode_peers_whole(peers_data)
    except MalformedError as error:
        raise MalformedError(peers_offset, f"the peer list is malformed: {error} of it") from None

    chunks: list[bytes] = []
    while True:
        crc_offset = cursor.offset
        chunk_crc, size = cursor.unpack(_CHUNK, "a chunk's header")
        if size > _CHUNK_BYTES_MAX:
            raise MalformedError(crc_offset + 4, f"a chunk of {size} bytes, above 1 MiB")
        if size == 0:
            break
        chunk = cursor.take(size, "a chunk")
        crc = crc32c(chunk, crc32c(_U32.pack(size), crc))
        _check_crc(chunk_crc, crc, crc_offset, "a chunk")
        chunks.append(chunk)
    end_offset = cursor.offset
    (total,) = cursor.unpack(_U64, "the total size")
    end_crc = crc32c(_U32.pack(0) + _U64.pack(total), crc)
    _check_crc(chunk_crc, end_crc, crc_offset, "the end")
    cursor.finish("the end of the snapshot")
    state = b"".join(chunks)
    if total != len(state):
        raise MalformedError(
            end_offset,
            f"the total says {total} bytes, the chunks hold {len(state)},",
            kind="snapshot-mismatch",
        )
    return Snapshot(index, term, peers, state)


def read_segment(name: str, data: bytes, directory_id: int) -> Segment:
    """Follow a segment's records up to its end or to the first that is bad; never raises."""
    first_index = int(name.partition(".")[0])
    seed = crc32c(_U64.pack(directory_id))
    try:
        header = _decode_segment_header(data, first_index, directory_id)
    except MalformedError as error:
        behind = _durable_index_behind(data, 0, seed)
        return Segment(name, first_index, None, (), 0, 0, error, behind)

    # Only what is whole by its length can be good; of an unfinished write the rest changes.
    end = _end_of_whole_records(data)
    records = _follow(data[:end], seed, header)
    defect, durable_index = records.defect, records.durable_index
    if defect is None and end < len(data):
        defect = MalformedError(end, "the file ends inside a record", cut=True)
    if defect is not None:
        # Its own size is not to be trusted, so what follows is looked for at every byte: with the
        # bad record skipped by its length, a flipped length would hide all later ones.
        durable_index = max(durable_index, _durable_index_behind(data, records.end, seed))
    return Segment(
        name,
        first_index,
        header,
        records.entries,
        records.last_term,
        records.last_crc,
        defect,
        durable_index,
    )


@dataclass(frozen=True)
class _Records:
    """The good records of a segment, up to `end`, and what comes next instead of another one."""

    entries: Sequence[Entry]
    last_term: int
    last_crc: int
    durable_index: int
    end: int
    defect: MalformedError | None


@lru_cache(maxsize=16)
def _follow(data: bytes, seed: int, header: SegmentHeader) -> _Records:
    """Follow records, whole by their lengths, to their end or to the first that is bad."""
    entries: list[Entry] = []
    term, crc, durable_index = header.previous_term, header.previous_crc, header.durable_index
    cursor = Cursor(data, _HEADER_BYTES)
    while cursor.remaining:
        at = cursor.offset
        index = header.first_index + len(entries)
        try:
            entry, crc, known_durable = _take_record(cursor, seed, index, term, crc)
        except MalformedError as error:
            return _Records(tuple(entries), term, crc, durable_index, at, error)
        entries.append(entry)
        term = entry.term
        durable_index = max(durable_index, known_durable)
    return _Records(tuple(entries), term, crc, durable_index, len(data), None)


def _end_of_whole_records(data: bytes) -> int:
    """Return where the last record ends that is complete by the lengths up to there."""
    end = _HEADER_BYTES
    while len(data) - end >= _RECORD.size:
        following = end + _RECORD.size + _RECORD.unpack_from(data, end)[-1]
        if following > len(data):
            break
        end = following
    return end


def _decode_segment_header(data: bytes, first_index: int, directory_id: int) -> SegmentHeader:
    cursor = Cursor(data)
    try:
        _take_preamble(cursor, _SEGMENT_MAGIC)
    except MalformedError as error:
        # Cut short, whatever else is wrong with it; but a later version is refused by its name.
        if error.kind == "corrupt" and len(data) < _HEADER_BYTES:
            raise MalformedError(0, "the file ends inside the header", cut=True) from error
        raise
    owner, stated_index, previous_term, durable_index, previous_crc, reserved, crc = cursor.unpack(
        _SEGMENT, "the header"
    )
    _check_crc(crc, crc32c(data[: _HEADER_BYTES - 4]), _HEADER_BYTES - 4, "the header")
    _check_owner(owner, directory_id)
    if stated_index != first_index:
        raise MalformedError(
            24, f"the header is that of {stated_index:020d}.segment", kind="wrong-directory"
        )
    if reserved:
        raise MalformedError(52, "a reserved field is not zero")
    _check_index(first_index)
    seed = crc32c(_U64.pack(directory_id))
    if first_index == 1 and (previous_term or previous_crc != seed):
        raise MalformedError(32, "the first entry of all claims that another comes before it")
    return SegmentHeader(first_index, previous_term, durable_index, previous_crc)


def _take_record(
    cursor: Cursor, seed: int, index: int, previous_term: int, previous_crc: int
) -> tuple[Entry, int, int]:
    """Return the entry, the record's crc, and the durable index it was written with."""
    at = cursor.offset
    header = cursor.take(_RECORD.size, "a record", at)
    crc, chained_crc, durable_index, term, own_index, entry_type, size = _RECORD.unpack(header)
    payload = cursor.take(size, "a record", at)
    _check_crc(crc, crc32c(payload, crc32c(header[4:], seed)), at, f"record {index}")
    if chained_crc != previous_crc:
        raise MalformedError(
            at + 4, f"record {index} does not continue the record before: its previous_crc is wrong"
        )
    if own_index != index:
        raise MalformedError(at + 24, f"a record has index {own_index} where {index} follows")
    if term < previous_term:
        raise MalformedError(
            at + 16, f"record {index} is of term {term} after one of term {previous_term}"
        )
    if entry_type >= len(EntryType):
        raise MalformedError(at + 32, f"record {index} has the unknown type {entry_type}")
    entry = Entry(own_index, term, EntryType(entry_type), payload)
    if entry.type is EntryType.CONFIGURATION:
        try:
            decode_peers_whole(payload)
        except MalformedError as error:
            raise MalformedError(
                at + _RECORD.size, f"the peer list of entry {index} is malformed: {error} of it"
            ) from None
    return entry, crc, durable_index


def _durable_index_behind(data: bytes, start: int, seed: int) -> int:
    """Return the largest durable index of the records with a good crc from `start` on, or 0.

    A record is written before it is durable, so one that claims its own index to be is none: few of
    the offsets cost a checksum.
    """
    view = memoryview(data)
    largest = 0
    # The upper bytes of a size that fits are zeros, and the index before the type is not zero: to
    # look for those is many times faster. The type stands first in the pattern, so that bytes which
    # are none are passed over at the speed of the C library; and zeros behind zeros are taken
    # together, as a power cut leaves pages of them.
    used = min(_U32.size, (len(data).bit_length() + 7) // 8)
    pattern = rb"(?s)[\x00-\x%02x](?:(?<!\x00{8}.)(?=.{%d}\x00{%d})|(?<=\x00{9})(\x00*))" % (
        len(EntryType) - 1,
        used,
        _U32.size - used,
    )
    last = len(data) - _RECORD.size
    for found in re.compile(pattern).finditer(data, start + _RECORD_TYPE_OFFSET):
        at = found.start() - _RECORD_TYPE_OFFSET
        if at > last:
            break
        if found[1] is not None:
            continue
        crc, _, durable_index, _, index, entry_type, size = _RECORD.unpack_from(data, at)
        end = at + _RECORD.size + size
        plausible = durable_index < index and entry_type < len(EntryType)
        worth_it = plausible and end <= len(data) and durable_index > largest
        if worth_it and crc32c(view[at + 4 : end], seed) == crc:
            largest = durable_index
    return largest


def check_segment_format(data: bytes) -> None:
    """Read no more than a segment's magic, version and features. Raises MalformedError."""
    _take_preamble(Cursor(data), _SEGMENT_MAGIC)


def _take_preamble(cursor: Cursor, magic: bytes) -> None:
    found, version, zero, features = cursor.unpack(_PREAMBLE, "the preamble")
    if found != magic:
        raise MalformedError(0, f"the magic is {found!r}, not {magic!r},")
    if version != _VERSION:
        raise MalformedError(
            8, f"format version {version}, {_VERSION} is known,", kind="unknown-format"
        )
    if features:
        raise MalformedError(
            12, f"unknown required feature bits {features:#x}", kind="unknown-format"
        )
    if zero:
        raise MalformedError(10, "a reserved field is not zero")


def _check_crc(stored: int, computed: int, offset: int, what: str) -> None:
    if stored != computed:
        raise MalformedError(
            offset, f"the crc of {what} is {stored:08x}, its bytes give {computed:08x},"
        )


def _check_owner(owner: int, directory_id: int) -> None:
    if owner != directory_id:
        raise MalformedError(
            16,
            f"written for directory {owner:016x}, this is {directory_id:016x},",
            kind="wrong-directory",
        )


def _check_index(index: int) -> None:
    if index > MAX_INDEX:
        raise MalformedError(24, f"index {index} is beyond any log")
