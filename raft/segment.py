"""One segment of the log: its header, its records, and what can still be read of a damaged one.

The layouts are those of docs/formats.md, section 'On disk'.
"""

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from crc32c import crc32c

from raft.errors import CorruptionError
from raft.log_entry import EntryType, LogEntry
from raft.preamble import PREAMBLE_BYTES, checksum_seed, encode_preamble, has_magic

SEGMENT_MAGIC = b"RAFTSEGM"
_HEADER = struct.Struct(f"<{PREAMBLE_BYTES}sQQQQII")
_CRC = struct.Struct("<I")
_RECORD = struct.Struct("<IIQQQBI")
_CHECKED = struct.Struct("<IQQQBI")
_INDEX_OFFSET = 24
_SIZE_BYTES = 4

# Indexing a tuple is several times cheaper than calling the enum.
_TYPES = tuple(EntryType)

HEADER_BYTES = _HEADER.size + _CRC.size
RECORD_BYTES = _RECORD.size
HEADER_PREVIOUS_CRC_OFFSET = 48
RECORD_PREVIOUS_CRC_OFFSET = 4

_NAME = re.compile(r"(?!0{20})(\d{20})\.segment", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a log ends: the last entry's index and term, and its record's crc.

    A log without an entry ends at index 0, term 0, with the directory's checksum seed for a crc.
    """

    index: int
    term: int
    crc: int

    def __str__(self) -> str:
        return f"entry {self.index} of term {self.term} with crc {self.crc:#010x}"


@dataclass(frozen=True, slots=True)
class Flaw:
    """The first place of a segment that cannot be read, and the index of the entry lost there.

    `torn` says that the file ends inside of what was to stand there: an unfinished write.
    """

    offset: int
    index: int
    reason: str
    torn: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """What one file holds up to its first flaw.

    `before` and `tail` are where the log ends without it and with it, `end` is the offset behind
    the last good record, and `durable_index` the largest index that the header and the good records
    say is durable. A header that is not good leaves nothing: `end` is 0, `tail` is `before`.
    """

    before: Tail
    entries: list[LogEntry]
    tail: Tail
    end: int
    durable_index: int
    flaw: Flaw | None


def segment_name(first_index: int) -> str:
    """Name the file whose first entry has this index."""
    return f"{first_index:020d}.segment"


def segment_first_index(name: str) -> int | None:
    """Read the first index from a file's name; None where it is not a segment's."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def encode_header(directory_id: int, before: Tail) -> bytes:
    """Encode the header of the segment that follows `before`, all of which is durable."""
    fields = _HEADER.pack(
        encode_preamble(SEGMENT_MAGIC),
        directory_id,
        before.index + 1,
        before.term,
        before.index,
        before.crc,
        0,
    )
    return fields + _CRC.pack(crc32c(fields))


def encode_records(
    entries: Iterable[LogEntry], seed: int, before: Tail, durable_index: int | None = None
) -> tuple[bytes, int]:
    """Encode the records that follow `before`; return them, and the crc of the last one.

    `durable_index` is the last one that is durable by now: all of `before` where it is not given.
    """
    if durable_index is None:
        durable_index = before.index
    crc = before.crc
    parts: list[bytes] = []
    for entry in entries:
        data = entry.data
        checked = _CHECKED.pack(crc, durable_index, entry.term, entry.index, entry.type, len(data))
        crc = crc32c(data, crc32c(checked, seed))
        parts += (_CRC.pack(crc), checked, data)
    return b"".join(parts), crc


def read_segment(
    data: bytes, path: str, first_index: int, directory_id: int, before: Tail | None
) -> Segment:
    """Read a segment, all of whose bytes are `data`, up to its first flaw.

    `before` is where the log ends so far, None where this is the first segment that is read.

    Raises:
        UnsupportedFormatError: a later version wrote it.
        CorruptionError: it was written under another name or in another directory.
    """
    expected = before or Tail(first_index - 1, 0, 0)
    try:
        claimed, durable_index = _read_header(data, path, first_index, directory_id)
    except _UnreadableError as error:
        flaw = Flaw(0, expected.index + 1, str(error), torn=error.torn)
        return Segment(expected, [], expected, 0, 0, flaw)
    if before and claimed != before:
        reason = f"it continues {claimed}, the log ends at {before}"
        flaw = Flaw(0, expected.index + 1, reason, torn=False)
        return Segment(expected, [], expected, 0, durable_index, flaw)
    entries: list[LogEntry] = []
    found = None
    index, term, crc = claimed.index, claimed.term, claimed.crc
    offset = HEADER_BYTES
    view = memoryview(data)
    seed = checksum_seed(directory_id)
    while offset < len(data):
        try:
            entry, crc, durable, end = _read_record(view, offset, seed, index + 1, term, crc)
        except _UnreadableError as error:
            found = Flaw(offset, index + 1, str(error), torn=error.torn)
            break
        entries.append(entry)
        index, term = entry.index, entry.term
        durable_index = max(durable_index, durable)
        offset = end
    return Segment(claimed, entries, Tail(index, term, crc), offset, durable_index, found)


def largest_claim(data: bytes, offset: int, directory_id: int, at_least: int) -> int:
    """Find the largest durable index that an intact record from `offset` on claims.

    Records are looked for at every byte, as a damaged one does not say where the next begins. A
    claim below `at_least` is not of interest; 0 says that there is none.
    """
    seed = checksum_seed(directory_id)
    view = memoryview(data)
    largest = 0
    # Every record has an index that is not 0, a known type, and a size whose upper bytes are zeros.
    # To look for those first, and to pass over pages of zeros as a power cut may leave them, spares
    # looking closely at every byte.
    used = min(_SIZE_BYTES, (len(data).bit_length() + 7) // 8)
    zeros = bytes(_SIZE_BYTES - used)
    records = re.compile(
        rb"(?s)%b(?:(?<=[\0-\x%02x].{%d}%b)(?<!\0{8}.{5})|(?<=\0{17})(\0+))"
        % (zeros, len(_TYPES) - 1, used, zeros)
    )
    position = offset + RECORD_BYTES - len(zeros)
    while found := records.search(data, position):
        if found[1]:
            position = found.end()
            continue
        position = found.start() + 1
        start = found.end() - RECORD_BYTES
        crc, _, durable_index, _, index, _, size = _RECORD.unpack_from(data, start)
        end = start + RECORD_BYTES + size
        # The cheap conditions come first: a checksum over megabytes at every byte would take hours.
        if (
            max(at_least, largest + 1) <= durable_index < index
            and end <= len(data)
            and crc32c(view[start + _CRC.size : end], seed) == crc
        ):
            largest = durable_index
    return largest


class _UnreadableError(Exception):
    """A header or a record that is not good; `torn` where the file ends inside of it."""

    def __init__(self, reason: str, *, torn: bool = False) -> None:
        super().__init__(reason)
        self.torn = torn


def _read_header(data: bytes, path: str, first_index: int, directory_id: int) -> tuple[Tail, int]:
    """Read where the log ended before this segment, and the durable index."""
    known = has_magic(data, SEGMENT_MAGIC, path)
    if len(data) < HEADER_BYTES:
        raise _UnreadableError("the file ends inside its header", torn=True)
    if not known:
        raise _UnreadableError("this is not the beginning of a segment")
    _, owner, index, term, durable_index, crc, reserved = _HEADER.unpack_from(data)
    if _CRC.unpack_from(data, _HEADER.size) != (crc32c(data[: _HEADER.size]),):
        raise _UnreadableError("the header's checksum is wrong")
    if (owner, index, reserved) != (directory_id, first_index, 0):
        # No unfinished write looks like this: the file was not written here, or not by this name.
        reason = f"it is the segment of index {index} in directory {owner:#x}, reserved {reserved}"
        raise CorruptionError(path, PREAMBLE_BYTES, first_index, reason)
    return Tail(index - 1, term, crc), durable_index


def _read_record(
    view: memoryview, offset: int, seed: int, index: int, previous_term: int, previous_crc: int
) -> tuple[LogEntry, int, int, int]:
    """Read the record of entry `index`: the entry, the record's crc, its durable index, its end."""
    left = len(view) - offset
    if left < RECORD_BYTES:
        raise _UnreadableError("the file ends inside a record's header", torn=True)
    fields = _RECORD.unpack_from(view, offset)
    crc, claimed_crc, durable_index, term, claimed_index, kind, size = fields
    end = offset + RECORD_BYTES + size
    if end > len(view):
        raise _UnreadableError("the file ends inside a record", torn=True)
    if crc32c(view[offset + _CRC.size : end], seed) != crc:
        raise _UnreadableError("the record's checksum is wrong")
    if claimed_crc != previous_crc:
        raise _UnreadableError("the record does not continue the one before")
    if claimed_index != index or term < previous_term:
        before = Tail(index - 1, previous_term, previous_crc)
        raise _UnreadableError(f"entry {claimed_index} of term {term} follows {before}")
    try:
        entry = LogEntry(term, index, _TYPES[kind], bytes(view[offset + RECORD_BYTES : end]))
        if entry.type is EntryType.CONFIGURATION:
            entry.peers()
    except (IndexError, ValueError) as error:
        raise _UnreadableError(f"the record's entry is not valid: {error}") from error
    return entry, crc, durable_index, end
