"""An entry of the replicated log.

The layout is that of docs/formats.md, section 'On the wire'. It is the same in a message and in a
segment's record.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from raft.config import DEFAULT_MAX_PAYLOAD_BYTES
from raft.errors import (
    EncodeError,
    InvalidFieldError,
    PayloadTooLargeError,
    TrailingBytesError,
    TruncatedError,
)
from raft.peer import Peer, decode_peers

_HEADER = struct.Struct("<QQBI")

ENTRY_HEADER_BYTES = _HEADER.size


class EntryType(IntEnum):
    """What an entry's data is: the application's command, a peer list, or nothing."""

    NORMAL = 0
    CONFIGURATION = 1
    NOOP = 2


# Indexing a tuple is several times cheaper than calling the enum.
_TYPES = tuple(EntryType)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry: `term` and `index` are u64, `data` is opaque bytes whatever the type."""

    term: int
    index: int
    type: EntryType = EntryType.NORMAL
    data: bytes = b""

    @classmethod
    def decode(
        cls,
        data: bytes | bytearray | memoryview,
        max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
    ) -> Self:
        """Decode `data`, any bytes-like object, and consume all of it.

        Raises:
            DecodeError: it is not exactly one entry; the subclass says why.
        """
        if not isinstance(data, bytes):
            data = memoryview(data).tobytes()
        entry, end = cls.decode_from(data, 0, max_payload_bytes)
        if end != len(data):
            raise TrailingBytesError(f"{len(data) - end} bytes follow the entry")
        return entry

    @classmethod
    def decode_from(
        cls, buffer: bytes, offset: int, max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES
    ) -> tuple[Self, int]:
        """Decode the entry at `offset` of `buffer`; return it and the offset of what follows.

        Nothing but the entry's own data is copied.

        Raises:
            DecodeError: as `decode`, but for bytes that follow.
        """
        start = offset + _HEADER.size
        if start > len(buffer):
            raise TruncatedError(
                f"an entry begins with {_HEADER.size} bytes; there are {len(buffer) - offset}"
            )
        term, index, entry_type, size = _HEADER.unpack_from(buffer, offset)
        if entry_type >= len(_TYPES):
            raise InvalidFieldError(f"entry type {entry_type} is not known")
        if size > max_payload_bytes:
            raise PayloadTooLargeError(f"data of {size} bytes; {max_payload_bytes} are permitted")
        end = start + size
        if end > len(buffer):
            raise TruncatedError(f"data of {size} bytes; there are {len(buffer) - start}")
        return cls(term, index, _TYPES[entry_type], buffer[start:end]), end

    def encode(self) -> bytes:
        """Encode this entry.

        Raises:
            EncodeError: the term or the index is not a u64, or the data has 4 GiB or more.
        """
        try:
            return _HEADER.pack(self.term, self.index, self.type, len(self.data)) + self.data
        except struct.error as error:
            raise EncodeError(f"a field of this entry is out of range: {error}") from error

    def peers(self) -> tuple[Peer, ...]:
        """Decode the configuration that this entry carries.

        Raises:
            DecodeError: the data is not a peer list, or is not meant to be one.
        """
        if self.type is not EntryType.CONFIGURATION:
            raise InvalidFieldError(f"entry {self.index} is {self.type.name}: it carries no peers")
        return decode_peers(self.data)
