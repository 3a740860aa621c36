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
)
from raft.log_entry import EntryType, LogEntry
from raft.peer import Peer, encode_peers
from tests.strategies import log_entries, peer_lists

ENTRY = LogEntry(0x0706050403020100, 0x1716151413121110, EntryType.NOOP, b"payload")
ENCODED = bytes.fromhex("0001020304050607 1011121314151617 02 07000000") + b"payload"


def test_the_layout_is_that_of_the_format() -> None:
    assert ENTRY.encode() == ENCODED
    assert LogEntry.decode(ENCODED) == ENTRY
    assert LogEntry.decode(ENCODED).type is EntryType.NOOP


@pytest.mark.parametrize("entry_type", [3, 128, 255])
def test_an_unknown_type_is_refused(entry_type: int) -> None:
    with pytest.raises(InvalidFieldError, match=f"type {entry_type}"):
        LogEntry.decode(ENCODED[:16] + bytes([entry_type]) + ENCODED[17:])


def test_data_up_to_the_limit_is_permitted() -> None:
    assert LogEntry.decode(ENCODED, max_payload_bytes=7) == ENTRY
    with pytest.raises(PayloadTooLargeError):
        LogEntry.decode(ENCODED, max_payload_bytes=6)


def test_the_limit_is_64_mib_unless_given() -> None:
    with pytest.raises(TruncatedError):
        LogEntry.decode(ENCODED[:17] + (64 * 2**20).to_bytes(4, "little"))
    for size in (64 * 2**20 + 1, 2**31, 2**32 - 1):
        with pytest.raises(PayloadTooLargeError):
            LogEntry.decode(ENCODED[:17] + size.to_bytes(4, "little"))


@pytest.mark.parametrize("value", [-1, 2**64, 2**20_000], ids=["negative", "65 bits", "huge"])
def test_a_number_out_of_range_is_an_encode_error(value: int) -> None:
    with pytest.raises(EncodeError):
        LogEntry(value, 1).encode()
    with pytest.raises(EncodeError):
        LogEntry(1, value).encode()


@given(st.binary(max_size=50), log_entries(), st.binary(max_size=50))
def test_an_entry_is_decoded_in_the_middle_of_a_buffer(
    before: bytes, entry: LogEntry, after: bytes
) -> None:
    buffer = before + entry.encode() + after
    assert LogEntry.decode_from(buffer, len(before)) == (entry, len(buffer) - len(after))


@given(st.binary(min_size=1, max_size=50), log_entries())
def test_an_entry_cut_at_the_end_of_a_buffer_is_truncated(before: bytes, entry: LogEntry) -> None:
    for size in range(len(entry.encode())):
        with pytest.raises(TruncatedError):
            LogEntry.decode_from(before + entry.encode()[:size], len(before))


def test_an_offset_beyond_the_buffer_is_truncated() -> None:
    with pytest.raises(TruncatedError):
        LogEntry.decode_from(ENCODED, len(ENCODED) + 100)


@given(st.integers(0, 2**64 - 1), peer_lists())
def test_a_configuration_carries_its_peers(index: int, peers: tuple[Peer, ...]) -> None:
    entry = LogEntry(1, index, EntryType.CONFIGURATION, encode_peers(peers))
    assert LogEntry.decode(entry.encode()).peers() == peers


@pytest.mark.parametrize("entry_type", [EntryType.NORMAL, EntryType.NOOP])
def test_no_other_entry_carries_peers(entry_type: EntryType) -> None:
    with pytest.raises(InvalidFieldError, match=f"entry 7 is {entry_type.name}"):
        LogEntry(1, 7, entry_type, encode_peers([])).peers()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", TruncatedError),
        (bytes(4) + b"x", TrailingBytesError),
        (b"\xff" * 400, DecodeError),
    ],
)
def test_a_configuration_is_opaque_until_its_peers_are_asked_for(
    data: bytes, error: type[DecodeError]
) -> None:
    entry = LogEntry(1, 1, EntryType.CONFIGURATION, data)
    assert LogEntry.decode(entry.encode()) == entry
    with pytest.raises(error):
        entry.peers()
