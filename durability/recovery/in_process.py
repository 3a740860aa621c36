"""Many recoveries in one process, for targets whose recovery is a function of ours.

A fork for each would take most of the time. What they print is caught in a file in memory that
stands in for standard output. One that raises, exits, hangs or leaves something behind says nothing
certain about itself or about those after it: whoever calls must then run each in a process of its
own (`recovery.recover`). So this is for a child that was forked for it, and may die of it.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Final

from durability.errors import InconclusiveError
from durability.recovery.process import STDOUT_LIMIT_BYTES, Ended
from durability.recovery.recovery import Recovery, understood
from durability.targets.contract import Target, lines_of

_STDOUT: Final = 1


class LeftBehindError(InconclusiveError):
    """A recovery returned, but not everything that it had begun has ended."""


class Recoveries:
    """Recoveries of one target, one after another, in this process and in its main thread.

    Standard output is theirs from here on: what it was is at the descriptor `stdout`.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._last: tuple[bytes, Recovery] | None = None
        self.stdout = os.dup(_STDOUT)
        caught = os.memfd_create("stdout")
        os.dup2(caught, _STDOUT)
        os.close(caught)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        self._held = _held()

    def run(self, function: Callable[[], object]) -> Recovery:
        """Run one, and read what it printed; the kernel ends this process if it takes too long.

        What it raises is passed on.
        """
        signal.setitimer(signal.ITIMER_REAL, self._target.recovery_timeout_s)
        function()
        signal.setitimer(signal.ITIMER_REAL, 0)
        return self._read()

    def lines_so_far(self) -> list[str]:
        """Return what the one that runs has printed by now."""
        return lines_of(_said()[0])

    def _read(self) -> Recovery:
        said, length = _said()
        os.ftruncate(_STDOUT, 0)
        os.lseek(_STDOUT, 0, os.SEEK_SET)
        # Neighbouring states mostly make recovery say the same, and reading it is not free.
        if self._last is None or self._last[0] != said:
            ended = Ended(0, None, said, length, b"", 0.0)
            self._last = said, understood(self._target, ended)
        return self._last[1]

    def check_nothing_is_left(self) -> None:
        """Raise LeftBehindError where there are descriptors, threads or children more or less."""
        held = _held()
        if held != self._held:
            raise LeftBehindError(f"{self._target.name}: recovery left {held} of {self._held}")


def _said() -> tuple[bytes, int]:
    """Return what was printed, as far as it is kept, and how many bytes that were."""
    sys.stdout.flush()
    length = os.lseek(_STDOUT, 0, os.SEEK_CUR)
    return os.pread(_STDOUT, min(length, STDOUT_LIMIT_BYTES), 0), length


def _held() -> tuple[int, int, str]:
    """Return how many descriptors and threads this process has, and its children."""
    number = os.getpid()
    with open(f"/proc/{number}/task/{number}/children", encoding="utf-8") as file:
        children = file.read()
    descriptors, threads = os.listdir("/proc/self/fd"), os.listdir("/proc/self/task")
    return len(descriptors), len(threads), children
