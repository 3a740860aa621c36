from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.errors import (
    DecodeError,
    EncodeError,
    InvalidFieldError,
    PayloadTooLargeError,
    TrailingBytesError,
    TruncatedError,
    UnsupportedVersionError,
)
from raft.log_entry import EntryType, LogEntry
from raft.message import Message, MessageType
from tests.strategies import log_entries

HEADER_BYTES = 83

# A different value in every byte of every field: a field at a wrong offset cannot go unseen.
MESSAGE = Message(
    group_id=0x1716151413121110,
    type=MessageType.TIMEOUT_NOW,
    sender=0x2726252423222120,
    term=0x3736353433323130,
    prev_log_index=0x4746454443424140,
    prev_log_term=0x5756555453525150,
    commit_index=0x6766656463626160,
    last_log_index=0x7776757473727170,
    last_log_term=0x8786858483828180,
    success=True,
    reject_hint=0x9796959493929190,
    entries_count=0xA3A2A1A0,
    data=b"payload",
)
LAYOUT = {  # docs/formats.md, section 'On the wire': offset and size
    "protocol_version": (0, 1),
    "group_id": (1, 8),
    "type": (9, 1),
    "sender": (10, 8),
    "term": (18, 8),
    "prev_log_index": (26, 8),
    "prev_log_term": (34, 8),
    "commit_index": (42, 8),
    "last_log_index": (50, 8),
    "last_log_term": (58, 8),
    "success": (66, 1),
    "reject_hint": (67, 8),
    "entries_count": (75, 4),
}


def with_byte(offset: int, value: int) -> bytes:
    encoded = bytearray(MESSAGE.encode())
    encoded[offset] = value
    return bytes(encoded)


@pytest.mark.parametrize("field", LAYOUT)
def test_every_field_stands_where_the_format_says(field: str) -> None:
    offset, size = LAYOUT[field]
    stored = MESSAGE.encode()[offset : offset + size]
    assert int.from_bytes(stored, "little") == getattr(MESSAGE, field)


def test_the_header_ends_with_the_size_of_the_data_that_follows() -> None:
    encoded = MESSAGE.encode()
    assert encoded[79:HEADER_BYTES] == (7).to_bytes(4, "little")
    assert encoded[HEADER_BYTES:] == b"payload"


def test_type_and_success_decode_to_their_python_types() -> None:
    decoded = Message.decode(MESSAGE.encode())
    assert decoded.type is MessageType.TIMEOUT_NOW
    assert decoded.success is True
    assert Message.decode(with_byte(66, 0)).success is False


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_protocol_version_is_refused(version: int) -> None:
    with pytest.raises(UnsupportedVersionError, match=f"version {version}; ours is 1"):
        Message.decode(with_byte(0, version))


@pytest.mark.parametrize("message_type", [9, 128, 255])
def test_an_unknown_type_is_refused(message_type: int) -> None:
    with pytest.raises(InvalidFieldError, match=f"type {message_type}"):
        Message.decode(with_byte(9, message_type))


@pytest.mark.parametrize("success", [2, 128, 255])
def test_a_success_of_neither_0_nor_1_is_refused(success: int) -> None:
    with pytest.raises(InvalidFieldError, match=f"success is {success}"):
        Message.decode(with_byte(66, success))


def test_data_up_to_the_limit_is_permitted() -> None:
    assert Message.decode(MESSAGE.encode(), max_payload_bytes=7) == MESSAGE
    with pytest.raises(PayloadTooLargeError):
        Message.decode(MESSAGE.encode(), max_payload_bytes=6)


def test_the_limit_is_64_mib_unless_given() -> None:
    header = MESSAGE.encode()[:79]
    with pytest.raises(TruncatedError):
        Message.decode(header + (64 * 2**20).to_bytes(4, "little"))
    for size in (64 * 2**20 + 1, 2**31, 2**32 - 1):
        with pytest.raises(PayloadTooLargeError):
            Message.decode(header + size.to_bytes(4, "little"))


@pytest.mark.parametrize("field", sorted(LAYOUT.keys() - {"protocol_version", "type", "success"}))
def test_a_number_out_of_range_is_an_encode_error(field: str) -> None:
    _, size = LAYOUT[field]
    for value in (-1, 2 ** (8 * size), 2**20_000):
        change: dict[str, Any] = {field: value}
        with pytest.raises(EncodeError):
            replace(MESSAGE, **change).encode()


def test_a_message_is_a_value() -> None:
    assert len({MESSAGE, replace(MESSAGE), Message.decode(MESSAGE.encode())}) == 1
    with pytest.raises(FrozenInstanceError):
        MESSAGE.term = 1  # type: ignore[misc]  # that it is refused is what is shown
    assert not hasattr(MESSAGE, "__dict__")


def append_entries(count: int, data: bytes) -> Message:
    return Message(1, MessageType.APPEND_ENTRIES, 2, 3, entries_count=count, data=data)


@given(st.lists(log_entries(), max_size=4))
def test_entries_are_those_that_were_put_in(entries: list[LogEntry]) -> None:
    data = b"".join(entry.encode() for entry in entries)
    assert append_entries(len(entries), data).entries() == tuple(entries)


@given(st.lists(log_entries(), max_size=4), st.data())
def test_entries_of_another_count_are_refused(entries: list[LogEntry], data: st.DataObject) -> None:
    encoded = b"".join(entry.encode() for entry in entries)
    more = data.draw(st.integers(len(entries) + 1, 2**32 - 1))
    with pytest.raises(TruncatedError):
        append_entries(more, encoded).entries()
    if entries:
        fewer = data.draw(st.integers(0, len(entries) - 1))
        with pytest.raises(TrailingBytesError):
            append_entries(fewer, encoded).entries()


@given(st.lists(log_entries(), min_size=1, max_size=3))
def test_entries_cut_anywhere_are_refused(entries: list[LogEntry]) -> None:
    encoded = b"".join(entry.encode() for entry in entries)
    for size in range(len(encoded)):
        with pytest.raises(TruncatedError):
            append_entries(len(entries), encoded[:size]).entries()


def test_one_bad_entry_refuses_the_whole_batch() -> None:
    good = LogEntry(1, 1, EntryType.NORMAL, b"x").encode()
    bad = bytearray(good)
    bad[16] = 3
    with pytest.raises(InvalidFieldError):
        append_entries(2, good + bad).entries()


def test_data_is_opaque_until_its_entries_are_asked_for() -> None:
    message = append_entries(5, b"not entries")
    assert Message.decode(message.encode()) == message
    with pytest.raises(DecodeError):
        message.entries()


def test_an_entry_of_more_than_the_default_limit_is_no_news_to_a_larger_message() -> None:
    entry = LogEntry(1, 1, EntryType.NORMAL, bytes(64 * 2**20 + 1))
    message = append_entries(1, entry.encode())
    assert message.entries() == (entry,)
