"""Byte strings with their lengths, of which both examples' commands and snapshots are made.

All integers are little-endian and unsigned: u32 length, then the bytes.
"""

import struct
from collections.abc import Iterable, Iterator

from raft.errors import EncodeError, TrailingBytesError, TruncatedError

_SIZE = struct.Struct("<I")


def encode_fields(fields: Iterable[bytes]) -> bytes:
    """Encode byte strings one after the other.

    Raises:
        EncodeError: one has 4 GiB or more.
    """
    try:
        return b"".join([_SIZE.pack(len(field)) + field for field in fields])
    except struct.error as error:
        raise EncodeError(f"a field is too long: {error}") from error


def decode_fields(data: bytes, count: int) -> list[bytes]:
    """Decode exactly `count` byte strings, and consume all of `data`.

    Raises:
        DecodeError: there are fewer, or more.
    """
    fields: list[bytes] = []
    offset = 0
    for _ in range(count):
        field, offset = _decode_field(data, offset)
        fields.append(field)
    if offset != len(data):
        raise TrailingBytesError(f"{len(data) - offset} bytes follow the last field")
    return fields


def read_fields(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decode as many byte strings as there are, in memory of one of them and one chunk.

    Raises:
        TruncatedError: the last one is incomplete.
    """
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        offset = 0
        while True:
            try:
                field, offset = _decode_field(buffer, offset)
            except TruncatedError:
                break
            yield field
        buffer = buffer[offset:]
    if buffer:
        raise TruncatedError(f"{len(buffer)} bytes are left over")


def _decode_field(data: bytes, offset: int) -> tuple[bytes, int]:
    start = offset + _SIZE.size
    if start > len(data):
        raise TruncatedError(f"a field begins with {_SIZE.size} bytes")
    (size,) = _SIZE.unpack_from(data, offset)
    if start + size > len(data):
        raise TruncatedError(f"a field of {size} bytes; there are {len(data) - start}")
    return data[start : start + size], start + size
