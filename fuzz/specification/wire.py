"""The wire formats: docs/formats.md, section 'On the wire'."""

from io import BytesIO
from typing import Any

from construct import (
    Bytes,
    GreedyBytes,
    Int8ul,
    Int16ul,
    Int32ul,
    Int64ul,
    StreamError,
    Struct,
)

from fuzz.laws import Faults
from raft.errors import (
    DecodeError,
    InvalidFieldError,
    PayloadTooLargeError,
    TrailingBytesError,
    TruncatedError,
    UnsupportedVersionError,
)
from raft.log_entry import EntryType, LogEntry
from raft.message import Message, MessageType
from raft.peer import Peer, PeerRole

_MESSAGE = Struct(
    "protocol_version" / Int8ul,
    "group_id" / Int64ul,
    "type" / Int8ul,
    "sender" / Int64ul,
    "term" / Int64ul,
    "prev_log_index" / Int64ul,
    "prev_log_term" / Int64ul,
    "commit_index" / Int64ul,
    "last_log_index" / Int64ul,
    "last_log_term" / Int64ul,
    "success" / Int8ul,
    "reject_hint" / Int64ul,
    "entries_count" / Int32ul,
    "data_size" / Int32ul,
    "data" / GreedyBytes,
)
_PAYLOAD_BYTES_MAX = 64 * 2**20
"""The limit where the caller names none."""

_LOG_ENTRY = Struct("term" / Int64ul, "index" / Int64ul, "type" / Int8ul, "size" / Int32ul)
_PEER = Struct("id" / Int64ul, "role" / Int8ul, "size" / Int16ul)


class _Reading:
    """Bytes that are being read, and the faults found in them so far."""

    def __init__(self, data: bytes, payload_bytes_max: int = _PAYLOAD_BYTES_MAX) -> None:
        self._payload_bytes_max = payload_bytes_max
        self._stream = BytesIO(data)
        self._left = len(data)
        self.faults: set[type[DecodeError]] = set()

    def take(self, layout: Any) -> Any:
        """Read one structure; None, and a fault, where the bytes end inside of it."""
        try:
            value = layout.parse_stream(self._stream)
        except StreamError:
            self.faults.add(TruncatedError)
            return None
        self._left -= layout.sizeof()
        return value

    def take_bytes(self, size: int) -> bytes | None:
        """Read opaque bytes, the size of which is checked before it is believed."""
        if size > self._payload_bytes_max:
            # Refused for that alone: what does not fit is not looked for.
            self.faults.add(PayloadTooLargeError)
            return None
        if size > self._left:
            self.faults.add(TruncatedError)
            return None
        self._left -= size
        return bytes(Bytes(size).parse_stream(self._stream))

    def require(self, condition: bool, fault: type[DecodeError]) -> None:
        """Note a fault unless the condition holds."""
        if not condition:
            self.faults.add(fault)

    def finish(self) -> Faults:
        """Note what is left over, unless it is known already that the end was never reached."""
        is_at_end = self._left == 0 or self.faults & {TruncatedError, PayloadTooLargeError}
        self.require(bool(is_at_end), TrailingBytesError)
        return frozenset(self.faults)


def message(data: bytes) -> Message | Faults:
    """Decode one message."""
    try:
        fields = _MESSAGE.parse(data)
    except StreamError:
        return frozenset({TruncatedError})
    reading = _Reading(data)
    reading.require(fields.protocol_version == 1, UnsupportedVersionError)
    reading.require(fields.type <= max(MessageType), InvalidFieldError)
    reading.require(fields.success <= 1, InvalidFieldError)
    if fields.data_size > _PAYLOAD_BYTES_MAX:
        # Refused for that alone: what does not fit is not looked for.
        reading.faults.add(PayloadTooLargeError)
    else:
        reading.require(fields.data_size <= len(fields.data), TruncatedError)
        reading.require(fields.data_size >= len(fields.data), TrailingBytesError)
    if reading.faults:
        return frozenset(reading.faults)
    return Message(
        group_id=fields.group_id,
        type=MessageType(fields.type),
        sender=fields.sender,
        term=fields.term,
        prev_log_index=fields.prev_log_index,
        prev_log_term=fields.prev_log_term,
        commit_index=fields.commit_index,
        last_log_index=fields.last_log_index,
        last_log_term=fields.last_log_term,
        success=fields.success == 1,
        reject_hint=fields.reject_hint,
        entries_count=fields.entries_count,
        data=fields.data,
    )


def entries(count: int, data: bytes) -> tuple[LogEntry, ...] | Faults:
    """Decode the entries of an AppendEntries that claims `count` of them."""
    # The message's own limit has been kept: in it an entry may be as large as it can be.
    reading = _Reading(data, payload_bytes_max=2**32)
    found = []
    for _ in range(count):
        entry = _take_entry(reading)
        if entry is None:
            break
        found.append(entry)
    return reading.finish() or tuple(found)


def log_entry(data: bytes) -> LogEntry | Faults:
    """Decode one entry."""
    reading = _Reading(data)
    entry = _take_entry(reading)
    faults = reading.finish()
    return entry if entry is not None and not faults else faults


def peer(data: bytes) -> Peer | Faults:
    """Decode one peer."""
    reading = _Reading(data)
    found = _take_peer(reading)
    faults = reading.finish()
    return found if found is not None and not faults else faults


def peer_list(data: bytes) -> tuple[Peer, ...] | Faults:
    """Decode one peer list."""
    reading = _Reading(data)
    count = reading.take(Int32ul)
    found: list[Peer] = []
    for _ in range(count or 0):
        entry = _take_peer(reading)
        if entry is None:
            break
        found.append(entry)
    reading.require(len({peer.id for peer in found}) == len(found), InvalidFieldError)
    return reading.finish() or tuple(found)


def _take_entry(reading: _Reading) -> LogEntry | None:
    """Take an entry; None where the next one's place is not known. One with faults is no value."""
    fields = reading.take(_LOG_ENTRY)
    if fields is None:
        return None
    known = fields.type <= max(EntryType)
    reading.require(known, InvalidFieldError)
    payload = reading.take_bytes(fields.size)
    if payload is None:
        return None
    kind = EntryType(fields.type) if known else EntryType.NORMAL
    return LogEntry(fields.term, fields.index, kind, payload)


def _take_peer(reading: _Reading) -> Peer | None:
    """Take a peer; None where the next one's place is not known. One with faults is no value."""
    fields = reading.take(_PEER)
    if fields is None:
        return None
    known = fields.role <= max(PeerRole)
    reading.require(known, InvalidFieldError)
    address = reading.take_bytes(fields.size)
    if address is None:
        return None
    try:
        text = address.decode()
    except UnicodeDecodeError:
        reading.faults.add(InvalidFieldError)
        text = ""
    return Peer(fields.id, PeerRole(fields.role) if known else PeerRole.VOTER, text)
