"""Giving damaged files right checksums, so that what lies behind the checksum is reached too.

A file too short for its checksum, or with a size field that leads beyond its end, is sealed as far
as that goes. Lengths are believed: what they are is what is being tested.
"""

import struct

from crc32c import crc32c

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_DIRECTORY_ID_OFFSET = 16

_METADATA_BYTES = 69
_SEGMENT_HEADER_BYTES = 60
_SEGMENT_PREVIOUS_CRC_OFFSET = 48
_RECORD_BYTES = 37
_RECORD_SIZE_OFFSET = 33
_SNAPSHOT_HEADER_BYTES = 44
_SNAPSHOT_SIZE_OFFSET = 40


def seal_metadata(data: bytes) -> bytes:
    """Give a `metadata` file the checksum of its content."""
    if len(data) < _METADATA_BYTES:
        return data
    body = data[: _METADATA_BYTES - 4]
    return body + _U32.pack(crc32c(body)) + data[_METADATA_BYTES:]


def seal_segment(data: bytes) -> bytes:
    """Give a segment's header and its records their checksums, each record the one before's."""
    if len(data) < _SEGMENT_HEADER_BYTES:
        return data
    sealed = bytearray(data)
    _U32.pack_into(sealed, _SEGMENT_HEADER_BYTES - 4, crc32c(data[: _SEGMENT_HEADER_BYTES - 4]))
    seed = crc32c(data[_DIRECTORY_ID_OFFSET : _DIRECTORY_ID_OFFSET + 8])
    (crc,) = _U32.unpack_from(data, _SEGMENT_PREVIOUS_CRC_OFFSET)
    start = _SEGMENT_HEADER_BYTES
    while start + _RECORD_BYTES <= len(data):
        (size,) = _U32.unpack_from(data, start + _RECORD_SIZE_OFFSET)
        end = start + _RECORD_BYTES + size
        if end > len(data):
            break
        _U32.pack_into(sealed, start + 4, crc)
        crc = crc32c(sealed[start + 4 : end], seed)
        _U32.pack_into(sealed, start, crc)
        start = end
    return bytes(sealed)


def seal_snapshot(data: bytes) -> bytes:
    """Give a snapshot's header, its chunks and its end their checksums, and the end its total."""
    if len(data) < _SNAPSHOT_HEADER_BYTES:
        return data
    sealed = bytearray(data)
    (peers_bytes,) = _U32.unpack_from(data, _SNAPSHOT_SIZE_OFFSET)
    offset = _SNAPSHOT_HEADER_BYTES + peers_bytes
    if offset + 4 > len(data):
        return data
    crc = crc32c(data[:offset])
    _U32.pack_into(sealed, offset, crc)
    offset += 4
    total_bytes = 0
    while offset + 8 <= len(data):
        (size,) = _U32.unpack_from(data, offset + 4)
        end = offset + 8 + (size or 8)
        if end > len(data):
            break
        if size == 0:
            _U64.pack_into(sealed, offset + 8, total_bytes)
        crc = crc32c(sealed[offset + 4 : end], crc)
        _U32.pack_into(sealed, offset, crc)
        if size == 0:
            break
        total_bytes += size
        offset = end
    return bytes(sealed)
