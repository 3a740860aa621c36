"""When a run is over in which the disk holds a call for ever.

Where every thread waits for the disk, nothing more will come. Another one may only wait for the one
that is held, and go on when it is tired of that: time limits of a second and more are common.
"""

import os
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from durability.trace.processes import descendants

PATIENCE_S: Final = 3.0
"""So long a thread that is not held may do nothing before the run is over."""
_ALL_HELD_S: Final = 0.2


class Silence:
    """Nothing has happened since some moment; `outlasted` says that a thread might have gone on."""

    def __init__(self) -> None:
        self.outlasted = False
        self._since = 0.0

    def begin(self) -> None:
        """Begin anew: something has just happened."""
        self._since = time.monotonic()

    def is_over(self, held: Collection[int], now: float) -> bool:
        """Tell whether to end a run in which threads, at least one, are held."""
        length = now - self._since
        if length < _ALL_HELD_S:
            return False
        if not _threads() - set(held):
            return True
        self.outlasted = length >= PATIENCE_S
        return self.outlasted


def _threads() -> set[int]:
    """Return the threads of all that descends from this process."""
    found: set[int] = set()
    for process in descendants(os.getpid()):
        with suppress(OSError):  # it has ended
            found.update(map(int, os.listdir(f"/proc/{process}/task")))
    return found
