"""Invariant tested: bytes are one message and its only encoding, or a typed error says why not.

The entries of an AppendEntries are decoded too: all of them, or none and a typed error.
"""

from typing import Final

from fuzz.laws import BrokenLawError, Buffer, Encoding, Faults, Limit
from fuzz.layout import Layout
from fuzz.specification import wire
from fuzz.target import Target
from fuzz.targets.log_entry import LOG_ENTRY
from raft.config import DEFAULT_MAX_PAYLOAD_BYTES
from raft.errors import DecodeError, PayloadTooLargeError, TrailingBytesError, TruncatedError
from raft.log_entry import LogEntry
from raft.message import Message, MessageType

MESSAGE: Final = Layout(
    (1, 8, 1, 8, 8, 8, 8, 8, 8, 8, 1, 8, 4, 4), size=13, body=LOG_ENTRY, count=12
)

_Decoded = tuple[Message, tuple[LogEntry, ...] | None]
"""A message and its entries: None where it carries none, or they are refused."""


def check(data: bytes) -> None:
    """Hold one input against every law."""
    _ENCODING.check(data)
    try:
        message = Message.decode(data)
    except DecodeError:
        return
    faults = wire.entries(message.entries_count, message.data)
    try:
        message.entries()
    except DecodeError as error:
        if type(error) not in faults:
            raise BrokenLawError(f"entries refused with {error!r}, not {faults}") from error


def _decode(data: Buffer, max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES) -> _Decoded:
    message = Message.decode(data, max_payload_bytes)
    if message.type is not MessageType.APPEND_ENTRIES:
        return message, None
    try:
        return message, message.entries()
    except DecodeError:
        return message, None


def _encode(decoded: _Decoded) -> bytes:
    return decoded[0].encode()


def _specification(data: bytes) -> _Decoded | Faults:
    message = wire.message(data)
    if isinstance(message, frozenset):
        return message
    if message.type is not MessageType.APPEND_ENTRIES:
        return message, None
    entries = wire.entries(message.entries_count, message.data)
    return message, None if isinstance(entries, frozenset) else entries


_ENCODING: Final = Encoding(
    decode=_decode,
    encode=_encode,
    specification=_specification,
    error=DecodeError,
    truncated=TruncatedError,
    trailing=TrailingBytesError,
    limit=Limit(_decode, lambda decoded: len(decoded[0].data), PayloadTooLargeError),
)

TARGET: Final = Target(check=check, probe=_ENCODING.probe, layout=MESSAGE)
