"""The laws that every encoding obeys, each checked on all of them."""

import array
import mmap
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.errors import DecodeError, TrailingBytesError, TruncatedError
from raft.log_entry import LogEntry
from raft.message import Message
from raft.peer import Peer, PeerRole, decode_peers, encode_peers
from tests.strategies import log_entries, messages, peer_lists, peers


@dataclass(frozen=True)
class Codec:
    """One encoding; each of `greedy` is a short input that claims to be a long one."""

    name: str
    values: st.SearchStrategy[Any]
    encode: Callable[[Any], bytes]
    decode: Callable[..., Any]
    greedy: tuple[bytes, ...]


def claims(head: bytes, tail: bytes) -> tuple[bytes, ...]:
    """Put a u32 size between: the largest there is, and the largest that is permitted."""
    return tuple(head + size.to_bytes(4, "little") + tail for size in (2**32 - 1, 64 * 2**20))


CODECS = [
    Codec(
        "Message", messages(), Message.encode, Message.decode, claims(b"\1" + bytes(78), bytes(9))
    ),
    Codec("LogEntry", log_entries(), LogEntry.encode, LogEntry.decode, claims(bytes(17), bytes(9))),
    Codec("Peer", peers(), Peer.encode, Peer.decode, (bytes(9) + b"\xff" * 9,)),
    Codec(
        "peer list",
        peer_lists(),
        encode_peers,
        decode_peers,
        claims(b"", b"".join(Peer(n, PeerRole.VOTER, "").encode() for n in range(9))),
    ),
]
every_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)


@every_codec
@given(data=st.data())
def test_what_was_encoded_decodes_to_the_same_value(codec: Codec, data: st.DataObject) -> None:
    value = data.draw(codec.values)
    decoded = codec.decode(codec.encode(value))
    assert decoded == value
    assert hash(decoded) == hash(value)


@every_codec
@given(data=st.data())
def test_every_strict_prefix_is_truncated(codec: Codec, data: st.DataObject) -> None:
    encoded = codec.encode(data.draw(codec.values))
    for size in range(len(encoded)):
        with pytest.raises(TruncatedError):
            codec.decode(encoded[:size])


@every_codec
@given(data=st.data(), extension=st.binary(min_size=1, max_size=120))
def test_every_extension_has_trailing_bytes(
    codec: Codec, data: st.DataObject, extension: bytes
) -> None:
    encoded = codec.encode(data.draw(codec.values))
    with pytest.raises(TrailingBytesError):
        codec.decode(encoded + extension)


@st.composite
def damaged(draw: st.DrawFn, codec: Codec) -> bytes:
    """Draw an encoding in which a few bytes are overwritten, cut out or inserted."""
    encoded = bytearray(codec.encode(draw(codec.values)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(encoded)))
        removed = draw(st.integers(0, 4))
        encoded[start : start + removed] = draw(
            st.sampled_from([b"", b"\0", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xff" * 4])
            | st.binary(min_size=removed, max_size=removed)
        )
    return bytes(encoded)


@every_codec
@given(data=st.data())
def test_damaged_bytes_are_refused_or_are_the_encoding_of_what_they_decode_to(
    codec: Codec, data: st.DataObject
) -> None:
    encoded = data.draw(st.binary(max_size=200) | damaged(codec))
    try:
        value = codec.decode(encoded)
    except DecodeError:
        return
    assert codec.encode(value) == encoded


@every_codec
def test_what_is_allocated_is_bounded_by_the_input_d32(codec: Codec) -> None:
    for greedy in codec.greedy:
        tracemalloc.start()
        try:
            with pytest.raises(DecodeError):
                codec.decode(greedy)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak_bytes < 32 * 2**10


def buffers(content: bytes) -> dict[str, Any]:
    """Put the same bytes into every kind of buffer."""
    spread = bytearray(2 * len(content))
    spread[::2] = content
    mapped = mmap.mmap(-1, len(content))
    mapped.write(content)
    kinds = {
        "bytearray": bytearray(content),
        "read-only view": memoryview(content),
        "writable view": memoryview(bytearray(content)),
        "array": array.array("B", content),
        "mapping": mapped,
        "every second byte": memoryview(spread)[::2],
        "backwards": memoryview(content[::-1])[::-1],
    }
    if len(content) % 2 == 0:
        kinds["two-byte items"] = memoryview(content).cast("H")
        kinds["two rows"] = memoryview(content).cast("B", (2, len(content) // 2))
    return kinds


def is_truncated(codec: Codec, buffer: object) -> bool:
    try:
        codec.decode(buffer)
    except TruncatedError:
        return True
    return False


@every_codec
@given(data=st.data())
def test_every_kind_of_buffer_decodes_alike(codec: Codec, data: st.DataObject) -> None:
    value = data.draw(codec.values)
    encoded = codec.encode(value)
    for kind, buffer in buffers(encoded).items():
        decoded = codec.decode(buffer)
        assert decoded == value, kind
        assert hash(decoded) == hash(value), kind  # no view of the buffer is kept in it
    for kind, buffer in buffers(encoded[:-1]).items():
        assert is_truncated(codec, buffer), kind


@every_codec
@pytest.mark.parametrize("other", ["text", 100, None, [1, 2]])
def test_what_is_not_a_buffer_is_a_type_error(codec: Codec, other: object) -> None:
    with pytest.raises(TypeError):
        codec.decode(other)
