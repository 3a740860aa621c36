"""A log entry, which both formats write alike (`docs/formats.md`)."""

import struct
from enum import IntEnum
from typing import Final

import msgspec

ENTRY: Final = struct.Struct("<QQBI")
"""u64 term, u64 index, u8 type, u32 size of the payload that follows, in bytes."""


class EntryType(IntEnum):
    """What an entry's payload is for."""

    NORMAL = 0
    CONFIGURATION = 1
    NOOP = 2


class Entry(msgspec.Struct, frozen=True):
    """One entry of the log; the payload of a CONFIGURATION is a peer list, others are opaque."""

    index: int
    term: int
    type: EntryType
    payload: bytes
