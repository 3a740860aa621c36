"""What two nodes say to each other.

One layout serves all nine types: docs/formats.md, section 'On the wire', says what a field means
in which type. The RPCs are those of the Raft paper (Ongaro and Ousterhout 2014, figures 2 and 13)
with pre-vote and leadership transfer from the dissertation (Ongaro 2014, sections 9.6 and 3.10).
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Self

from raft.config import DEFAULT_MAX_PAYLOAD_BYTES
from raft.errors import (
    EncodeError,
    InvalidFieldError,
    PayloadTooLargeError,
    TrailingBytesError,
    TruncatedError,
    UnsupportedVersionError,
)
from raft.log_entry import LogEntry

_HEADER = struct.Struct("<BQBQQQQQQQBQII")


class MessageType(IntEnum):
    """The RPCs and their responses."""

    APPEND_ENTRIES = 0
    APPEND_ENTRIES_RESPONSE = 1
    REQUEST_VOTE = 2
    REQUEST_VOTE_RESPONSE = 3
    INSTALL_SNAPSHOT = 4
    INSTALL_SNAPSHOT_RESPONSE = 5
    PRE_VOTE = 6
    PRE_VOTE_RESPONSE = 7
    TIMEOUT_NOW = 8


# Indexing a tuple is several times cheaper than calling the enum.
_TYPES = tuple(MessageType)


# A NamedTuple would halve the 1.4 us of a decode, but it equals any tuple of the same items, and
# LogEntry could not be one: its field `index` is a tuple's method. Ranges are checked by `encode`,
# where struct does it for nothing, not whenever a message is made.
@dataclass(frozen=True, slots=True)
class Message:
    """One message: numbers are u64 but `entries_count`, a u32; `data` is opaque bytes.

    `entries_count` is what the message claims; `entries` checks it against the data.
    """

    protocol_version: ClassVar[int] = 1

    group_id: int
    type: MessageType
    sender: int
    term: int
    prev_log_index: int = 0
    prev_log_term: int = 0
    commit_index: int = 0
    last_log_index: int = 0
    last_log_term: int = 0
    success: bool = False
    reject_hint: int = 0
    entries_count: int = 0
    data: bytes = b""

    @classmethod
    def decode(
        cls,
        data: bytes | bytearray | memoryview,
        max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
    ) -> Self:
        """Decode `data`, any bytes-like object, and consume all of it.

        Raises:
            DecodeError: it is not exactly one message; the subclass says why. The entries in its
                data are not looked at.
        """
        if not isinstance(data, bytes):
            data = memoryview(data).tobytes()
        if len(data) < _HEADER.size:
            raise TruncatedError(
                f"a message begins with {_HEADER.size} bytes; there are {len(data)}"
            )
        (
            version,
            group_id,
            message_type,
            sender,
            term,
            prev_log_index,
            prev_log_term,
            commit_index,
            last_log_index,
            last_log_term,
            success,
            reject_hint,
            entries_count,
            size,
        ) = _HEADER.unpack_from(data)
        if version != cls.protocol_version:
            raise UnsupportedVersionError(
                f"protocol version {version}; ours is {cls.protocol_version}"
            )
        if message_type >= len(_TYPES):
            raise InvalidFieldError(f"message type {message_type} is not known")
        if success > 1:
            raise InvalidFieldError(f"success is {success}, neither 0 nor 1")
        if size > max_payload_bytes:
            raise PayloadTooLargeError(f"data of {size} bytes; {max_payload_bytes} are permitted")
        excess = len(data) - _HEADER.size - size
        if excess < 0:
            raise TruncatedError(f"data of {size} bytes; {-excess} of them are missing")
        if excess > 0:
            raise TrailingBytesError(f"{excess} bytes follow the message")
        return cls(
            group_id,
            _TYPES[message_type],
            sender,
            term,
            prev_log_index,
            prev_log_term,
            commit_index,
            last_log_index,
            last_log_term,
            success == 1,
            reject_hint,
            entries_count,
            data[_HEADER.size :],
        )

    def encode(self) -> bytes:
        """Encode this message.

        Raises:
            EncodeError: a number is out of its field's range, or the data has 4 GiB or more.
        """
        try:
            header = _HEADER.pack(
                self.protocol_version,
                self.group_id,
                self.type,
                self.sender,
                self.term,
                self.prev_log_index,
                self.prev_log_term,
                self.commit_index,
                self.last_log_index,
                self.last_log_term,
                self.success,
                self.reject_hint,
                self.entries_count,
                len(self.data),
            )
        except struct.error as error:
            raise EncodeError(f"a field of this message is out of range: {error}") from error
        return header + self.data

    def entries(self) -> tuple[LogEntry, ...]:
        """Decode the log entries of an AppendEntries, all or none.

        Raises:
            DecodeError: the data is not exactly `entries_count` entries.
        """
        entries: list[LogEntry] = []
        offset = 0
        for _ in range(self.entries_count):
            # No limit beside the data's own size: this much has been permitted already.
            entry, offset = LogEntry.decode_from(self.data, offset, 2**32)
            entries.append(entry)
        if offset != len(self.data):
            raise TrailingBytesError(f"{len(self.data) - offset} bytes follow the entries")
        return tuple(entries)
