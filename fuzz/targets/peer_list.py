"""Invariant tested: bytes are one peer list and its only encoding, or a typed error says why not.

An id that occurs twice is refused.
"""

from typing import Final

from fuzz.laws import Encoding
from fuzz.layout import Layout
from fuzz.specification import wire
from fuzz.target import Target
from fuzz.targets.peer import PEER
from raft.errors import DecodeError, TrailingBytesError, TruncatedError
from raft.peer import decode_peers, encode_peers

PEER_LIST: Final = Layout((4,), count=0, record=PEER)

_ENCODING: Final = Encoding(
    decode=decode_peers,
    encode=encode_peers,
    specification=wire.peer_list,
    error=DecodeError,
    truncated=TruncatedError,
    trailing=TrailingBytesError,
)


def check(data: bytes) -> None:
    """Hold one input against every law."""
    _ENCODING.check(data)


TARGET: Final = Target(check=check, probe=_ENCODING.probe, layout=PEER_LIST)
