"""A peer and a peer list, which both formats write alike (`docs/formats.md`)."""

import struct
from typing import Final, Literal

import msgspec

from durability.audit.cursor import Cursor, MalformedError

_COUNT: Final = struct.Struct("<I")
_PEER: Final = struct.Struct("<QBH")
_ROLES: Final[tuple[Literal["voter"], Literal["learner"]]] = ("voter", "learner")


class Peer(msgspec.Struct, frozen=True):
    """A member of a configuration."""

    id: int
    role: Literal["voter", "learner"]
    address: str


def decode_peers(cursor: Cursor) -> tuple[Peer, ...]:
    """Read one peer list.

    Raises:
        MalformedError: a role is unknown, an address is not UTF-8, or the bytes end too early.
    """
    (count,) = cursor.unpack(_COUNT, "a peer list")
    peers = []
    for _ in range(count):
        at = cursor.offset
        identity, role, size = cursor.unpack(_PEER, "a peer")
        if role >= len(_ROLES):
            raise MalformedError(at + 8, f"peer {identity} has the unknown role {role}")
        try:
            address = cursor.take(size, "a peer's address").decode()
        except UnicodeDecodeError:
            raise MalformedError(at + 11, f"the address of peer {identity} is not UTF-8") from None
        peers.append(Peer(identity, _ROLES[role], address))
    return tuple(peers)


def decode_peers_whole(data: bytes) -> tuple[Peer, ...]:
    """Read bytes that hold one peer list and nothing else.

    Raises:
        MalformedError: as `decode_peers`, or bytes are left over.
    """
    cursor = Cursor(data)
    peers = decode_peers(cursor)
    cursor.finish("the peer list")
    return peers
