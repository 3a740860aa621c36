"""What the built-in workloads write and say: contents of all sizes, each with a name of its own.

A name holds the content's number, length and checksum, so that half of a content, or an older one
in its place, is another item.
"""

import os
import random
import re
import zlib
from collections.abc import Iterator
from itertools import count
from typing import Final

from durability.targets.contract import Speech

SPEECH: Final = Speech(
    acknowledged=re.compile(r"^ack (?P<id>.+)$"),
    announced=re.compile(r"^item (?P<id>.+)$"),
    recovered=re.compile(r"^item (?P<id>.+)$"),
)
_SMALL_BYTES: Final = (16, 160)
_LARGE_BYTES: Final = (5000, 9000)
_LARGE_EVERY: Final = 40


def contents() -> Iterator[bytes]:
    """Yield contents without end, the same ones each time; now and then one is above a page."""
    chance = random.Random(0)
    for number in count(1):
        sizes = _SMALL_BYTES if number % _LARGE_EVERY else _LARGE_BYTES
        yield b"%08d" % number + chance.randbytes(chance.randint(*sizes))


def name_of(content: bytes) -> str:
    """Return a short name that no other content has."""
    number = content[:8].decode("ascii", "replace").lstrip("0")
    return f"{number}.{len(content)}.{zlib.crc32(content):08x}"


def say(*lines: str) -> None:
    """Print lines at once: an acknowledgement in a buffer has not been given."""
    if lines:
        os.write(1, "".join(f"{line}\n" for line in lines).encode())
