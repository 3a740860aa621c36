"""Invariant tested: bytes are one peer and its only encoding, or a typed error says why not."""

from typing import Final

from fuzz.laws import Encoding, Limit
from fuzz.layout import Layout
from fuzz.specification import wire
from fuzz.target import Target
from raft.errors import DecodeError, PayloadTooLargeError, TrailingBytesError, TruncatedError
from raft.peer import Peer

PEER: Final = Layout((8, 1, 2), size=2)

_ENCODING: Final = Encoding(
    decode=Peer.decode,
    encode=Peer.encode,
    specification=wire.peer,
    error=DecodeError,
    truncated=TruncatedError,
    trailing=TrailingBytesError,
    limit=Limit(Peer.decode, lambda peer: len(peer.address.encode()), PayloadTooLargeError),
)


def check(data: bytes) -> None:
    """Hold one input against every law."""
    _ENCODING.check(data)


TARGET: Final = Target(check=check, probe=_ENCODING.probe, layout=PEER)
