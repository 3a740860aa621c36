"""Invariant tested: a segment is read up to its first flaw, and no further than what was written.

Each input is the first index in the file's name (u64), whether the log before it is known (u8: 0 it
is not, 1 it ends as the header says, else it is empty), and the file. It is tested as it is, and
once more with its checksums put right. Beside what both decoders read, this must hold:

- the records that were read, written again, are the same bytes;
- a file that is cut keeps what stands before the cut, and says that it is torn;
- what follows the end is a flaw there, and changes nothing before it;
- behind a flaw, the largest claim of an intact record is found, wherever it begins.
"""

import struct
import zlib
from typing import Final

from fuzz.laws import BrokenLawError, Faults
from fuzz.layout import Layout
from fuzz.seal import seal_segment
from fuzz.specification import files
from fuzz.specification.files import SegmentReading
from fuzz.target import Target
from raft.errors import StorageError
from raft.preamble import checksum_seed
from raft.segment import Segment, Tail, encode_records, largest_claim, read_segment

DIRECTORY_ID: Final = 0x0123456789ABCDEF
"""Of the directory in which every file would be at home."""

_NAME: Final = struct.Struct("<QB")
_CLAIMED_TAIL: Final = struct.Struct("<24xQQ8xI")
_RECORD_HEAD: Final = struct.Struct("<I4xQ")
_ENTRY_OFFSET: Final = 16
_HEADER_BYTES: Final = 60

_RECORD: Final = Layout((4, 4, 8, 8, 8, 1, 4), size=6)
SEGMENT: Final = Layout((8, 1, 8, 2, 2, 4, 8, 8, 8, 8, 4, 4, 4), record=_RECORD)


def check(data: bytes) -> None:
    """Hold one file, and the same one sealed, against every law."""
    for first_index, before, content in _files(data):
        _check_specification(content, first_index, before)
        segment = _read(content, first_index, before)
        if isinstance(segment, SegmentReading):
            _check_encoding(segment, content)
            # Records have 37 bytes and more: cuts that are a few bytes apart meet each of them.
            for size in range(0, len(content), 1 + len(content) // 256):
                _check_cut(segment, content, size, first_index, before)
            _check_claim(segment, content)


def _probe(data: bytes) -> None:
    draw = zlib.crc32(data)
    for first_index, before, content in _files(data):
        segment = _read(content, first_index, before)
        if isinstance(segment, SegmentReading) and content:
            _check_encoding(segment, content)
            _check_cut(segment, content, draw % len(content), first_index, before)


def _files(data: bytes) -> list[tuple[int, Tail | None, bytes]]:
    """Return the first index, the log before, and the content: as it is, and sealed."""
    if len(data) < _NAME.size:
        return []
    first_index, known = _NAME.unpack_from(data)
    # No file's name says 0.
    first_index = first_index or 1
    found = []
    content = data[_NAME.size :]
    for variant in (content, seal_segment(content)):
        before = None
        if known == 1 and len(variant) >= _HEADER_BYTES:
            index, term, crc = _CLAIMED_TAIL.unpack_from(variant)
            before = Tail((index - 1) % 2**64, term, crc)
        elif known:
            before = Tail(0, 0, checksum_seed(DIRECTORY_ID))
        found.append((first_index, before, variant))
    return found


def _read(
    content: bytes, first_index: int, before: Tail | None
) -> SegmentReading | type[StorageError]:
    try:
        return _reading(read_segment(content, "segment", first_index, DIRECTORY_ID, before))
    except StorageError as error:
        return type(error)


def _reading(segment: Segment) -> SegmentReading:
    flaw = segment.flaw
    return SegmentReading(
        segment.before,
        tuple(segment.entries),
        segment.tail,
        segment.end,
        segment.durable_index,
        None if flaw is None else (flaw.offset, flaw.index, flaw.torn),
    )


def _check_specification(content: bytes, first_index: int, before: Tail | None) -> None:
    outcome = _read(content, first_index, before)
    expected: SegmentReading | Faults = files.segment(content, first_index, DIRECTORY_ID, before)
    agree = outcome in expected if isinstance(expected, frozenset) else outcome == expected
    if not agree:
        raise BrokenLawError(f"read as {outcome}, and is {expected}")


def _check_encoding(segment: SegmentReading, content: bytes) -> None:
    """Write each record again; one that was not a batch of its own, but for its durable index."""
    offset = _HEADER_BYTES
    tail = segment.before
    for entry in segment.entries:
        encoded, _ = encode_records([entry], checksum_seed(DIRECTORY_ID), tail)
        end = offset + len(encoded)
        crc, durable_index = _RECORD_HEAD.unpack_from(content, offset)
        same = _ENTRY_OFFSET if durable_index != tail.index else 0
        if encoded[same:] != content[offset + same : end]:
            raise BrokenLawError(f"entry {entry.index} would be written as {encoded.hex()}")
        tail = Tail(entry.index, entry.term, crc)
        offset = end
    if segment.entries and (offset, tail) != (segment.end, segment.tail):
        raise BrokenLawError(f"the last record ends at {offset} with {tail}, not as {segment}")


def _check_cut(
    whole: SegmentReading, content: bytes, size: int, first_index: int, before: Tail | None
) -> None:
    cut = _read(content[:size], first_index, before)
    if not isinstance(cut, SegmentReading):
        raise BrokenLawError(f"cut at {size}, it is refused with {cut.__name__}")
    if cut.entries != whole.entries[: len(cut.entries)]:
        raise BrokenLawError(f"cut at {size}, it has other entries")
    if size >= _HEADER_BYTES and whole.end >= size:
        lost = [entry for entry in whole.entries if entry not in cut.entries]
        if cut.flaw is None and cut.end != size:
            raise BrokenLawError(f"cut at {size}, it ends at {cut.end} without a flaw")
        if cut.flaw is not None and not (lost and cut.flaw[2]):
            raise BrokenLawError(f"cut at {size}, it is not torn: {cut.flaw}")


def _check_claim(segment: SegmentReading, content: bytes) -> None:
    if segment.flaw is None:
        return
    offset, index, _ = segment.flaw
    claim = largest_claim(content, offset, DIRECTORY_ID, at_least=0)
    expected = files.largest_claim(content, offset, DIRECTORY_ID)
    if claim != expected:
        raise BrokenLawError(f"behind entry {index}, {claim} was durable; {expected} expected")


TARGET: Final = Target(check=check, probe=_probe, layout=SEGMENT)
