"""Invariant tested: bytes are one entry and its only encoding, or a typed error says why not.

The peers of a configuration are decoded too: all of them, or none and a typed error.
"""

from contextlib import suppress
from typing import Final

from fuzz.laws import BrokenLawError, Encoding, Faults, Limit
from fuzz.layout import Layout
from fuzz.specification import wire
from fuzz.target import Target
from fuzz.targets.peer_list import PEER_LIST
from raft.errors import (
    DecodeError,
    InvalidFieldError,
    PayloadTooLargeError,
    TrailingBytesError,
    TruncatedError,
)
from raft.log_entry import EntryType, LogEntry
from raft.peer import Peer

LOG_ENTRY: Final = Layout((8, 8, 1, 4), size=3, body=PEER_LIST)

_ENCODING: Final = Encoding(
    decode=LogEntry.decode,
    encode=LogEntry.encode,
    specification=wire.log_entry,
    error=DecodeError,
    truncated=TruncatedError,
    trailing=TrailingBytesError,
    limit=Limit(LogEntry.decode, lambda entry: len(entry.data), PayloadTooLargeError),
)


def check(data: bytes) -> None:
    """Hold one input against every law."""
    _ENCODING.check(data)
    try:
        entry = LogEntry.decode(data)
    except DecodeError:
        return
    expected: tuple[Peer, ...] | Faults = frozenset({InvalidFieldError})
    if entry.type is EntryType.CONFIGURATION:
        expected = wire.peer_list(entry.data)
    try:
        peers = entry.peers()
    except DecodeError as error:
        if not isinstance(expected, frozenset) or type(error) not in expected:
            raise BrokenLawError(f"peers refused with {error!r}, and are {expected}") from error
    else:
        if peers != expected:
            raise BrokenLawError(f"peers {peers}, and are {expected}")


def _probe(data: bytes) -> None:
    _ENCODING.probe(data)
    with suppress(DecodeError):
        LogEntry.decode(data).peers()


TARGET: Final = Target(check=check, probe=_probe, layout=LOG_ENTRY)
