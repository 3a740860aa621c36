"""Keeping watch over inputs that take too long, by the time that they use and not the clock's.

Every few seconds of CPU time a signal looks whether the same input is still being tested. That
costs an input nothing, and is not deceived by a machine that is busy otherwise.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from fuzz.target import Check

TICK_S: Final = 4.0
"""A recovery that looks for records at every byte takes a second under instrumentation."""


class HangError(BaseException):
    """An input has taken too much CPU time. No `except Exception` holds it up."""


class Watched:
    """A check that is cut short when it takes long: after one to two ticks of CPU time."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self.executions = 0
        self._running = False
        self._seen = 0

    def __call__(self, data: bytes) -> None:
        """Check one input.

        Raises:
            HangError: it took too long, while somebody was `watching`.
        """
        self.executions += 1
        self._running = True
        try:
            self._check(data)
        finally:
            self._running = False

    def look(self) -> None:
        """Cut the check short if it is the one that was running at the last look."""
        if self._running and self._seen == self.executions:
            raise HangError("it takes too much CPU time to end in")
        self._seen = self.executions


@contextmanager
def watching(*checks: Watched, tick_s: float = TICK_S) -> Iterator[None]:
    """Look at each check once a tick of CPU time, in the main thread, while the block runs."""

    def look(number: int, frame: FrameType | None) -> None:
        del number, frame
        for check in checks:
            check.look()

    previous = signal.signal(signal.SIGVTALRM, look)
    signal.setitimer(signal.ITIMER_VIRTUAL, tick_s, tick_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)
