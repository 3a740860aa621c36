"""A member of a Raft group, and the list of them that is a configuration.

The layouts are those of docs/formats.md, section 'On the wire'.
"""

import struct
from collections.abc import Iterable
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

_HEADER = struct.Struct("<QBH")
_COUNT = struct.Struct("<I")


class PeerRole(IntEnum):
    """What a member may do: a learner receives entries, but neither votes nor campaigns."""

    VOTER = 0
    LEARNER = 1


# Indexing a tuple is several times cheaper than calling the enum.
_ROLES = tuple(PeerRole)


@dataclass(frozen=True, slots=True)
class Peer:
    """One member: `id` is a u64, `address` at most 65,535 bytes of UTF-8 and opaque to the core."""

    id: int
    role: PeerRole
    address: str

    @classmethod
    def decode(
        cls,
        data: bytes | bytearray | memoryview,
        max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
    ) -> Self:
        """Decode `data`, any bytes-like object, and consume all of it.

        Raises:
            DecodeError: it is not exactly one peer; the subclass says why. An address of more than
                `max_payload_bytes` is a PayloadTooLargeError.
        """
        if not isinstance(data, bytes):
            data = memoryview(data).tobytes()
        peer, end = cls.decode_from(data, 0, max_payload_bytes)
        if end != len(data):
            raise TrailingBytesError(f"{len(data) - end} bytes follow the peer")
        return peer

    @classmethod
    def decode_from(
        cls, buffer: bytes, offset: int, max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES
    ) -> tuple[Self, int]:
        """Decode the peer at `offset` of `buffer`; return it and the offset of what follows.

        Raises:
            DecodeError: as `decode`, but for bytes that follow.
        """
        start = offset + _HEADER.size
        if start > len(buffer):
            raise TruncatedError(
                f"a peer begins with {_HEADER.size} bytes; there are {len(buffer) - offset}"
            )
        peer_id, role, size = _HEADER.unpack_from(buffer, offset)
        if role >= len(_ROLES):
            raise InvalidFieldError(f"role {role} is neither 0 (voter) nor 1 (learner)")
        if size > max_payload_bytes:
            raise PayloadTooLargeError(f"an address of {size} bytes; {max_payload_bytes} permitted")
        end = start + size
        if end > len(buffer):
            raise TruncatedError(f"an address of {size} bytes; there are {len(buffer) - start}")
        try:
            address = buffer[start:end].decode()
        except UnicodeDecodeError as error:
            raise InvalidFieldError(f"the address is not UTF-8: {error}") from error
        return cls(peer_id, _ROLES[role], address), end

    def encode(self) -> bytes:
        """Encode this peer.

        Raises:
            EncodeError: the id is not a u64, or the address is too long or not Unicode text.
        """
        try:
            address = self.address.encode()
            return _HEADER.pack(self.id, self.role, len(address)) + address
        except (struct.error, UnicodeEncodeError) as error:
            raise EncodeError(f"a field of this peer is out of range: {error}") from error


def encode_peers(peers: Iterable[Peer]) -> bytes:
    """Encode a peer list, in the order given.

    Raises:
        EncodeError: a peer cannot be encoded, or two have the same id.
    """
    peers = tuple(peers)
    if len({peer.id for peer in peers}) != len(peers):
        raise EncodeError("two peers of a list have the same id")
    return _COUNT.pack(len(peers)) + b"".join([peer.encode() for peer in peers])


def decode_peers(data: bytes | bytearray | memoryview) -> tuple[Peer, ...]:
    """Decode a peer list from `data`, any bytes-like object, and consume all of it.

    An id that occurs twice is refused: it would be one node with two votes.

    Raises:
        DecodeError: it is not exactly one peer list; the subclass says why.
    """
    if not isinstance(data, bytes):
        data = memoryview(data).tobytes()
    if len(data) < _COUNT.size:
        raise TruncatedError(f"a peer list begins with {_COUNT.size} bytes; there are {len(data)}")
    (count,) = _COUNT.unpack_from(data)
    offset = _COUNT.size
    peers: dict[int, Peer] = {}
    for _ in range(count):
        peer, offset = Peer.decode_from(data, offset)
        if peer.id in peers:
            raise InvalidFieldError(f"peer {peer.id} is listed twice")
        peers[peer.id] = peer
    if offset != len(data):
        raise TrailingBytesError(f"{len(data) - offset} bytes follow the peer list")
    return tuple(peers.values())


def has_voter(peers: Iterable[Peer]) -> bool:
    """Say whether a group with these members could decide anything."""
    return any(peer.role is PeerRole.VOTER for peer in peers)
