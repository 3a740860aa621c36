"""The built-in node with commands of many pages, of which a power cut may keep any.

The `reference` writes little at a time and syncs each: few states are possible then. Here a batch
spans up to some thirty pages, and each of these may be on disk or not.
"""

import random
from collections.abc import Iterator
from itertools import count
from typing import Final

from durability.targets import reference
from durability.targets.contract import Target

_STREAM_BYTES: Final = 1 << 18
_COMMAND_BYTES: Final = (16, 160)
_LARGE_COMMAND_BYTES: Final = 50_000
_LARGE_EVERY: Final = 20


def target() -> Target:
    """Return the built-in node as a target."""
    return reference.of("reference-batches", _commands, _STREAM_BYTES)


def _commands() -> Iterator[bytes]:
    """Yield the commands of the workload, the same ones each time."""
    chance = random.Random(0)
    for number in count(1):
        small = chance.randint(*_COMMAND_BYTES)
        yield b"%08d" % number + chance.randbytes(
            small if number % _LARGE_EVERY else _LARGE_COMMAND_BYTES
        )
