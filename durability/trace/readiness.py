"""Whether a server under test can be asked yet."""

import re

from durability.targets.contract import Ready
from durability.targets.port import is_served_by
from durability.trace.processes import descendants


class Readiness:
    """The wait for one server: what it prints is given to `hear`, `is_reached` looks.

    A port counts only where the server's own process, or one that it started, listens on it.
    """

    def __init__(self, ready: Ready | None, server: int) -> None:
        """Wait for a server, given by its process number."""
        self._ready = ready
        self._server = server
        self._unfinished = b""
        self._reached = ready is None

    def hear(self, printed: bytes) -> None:
        """Take what the server printed next on its stdout."""
        if self._reached or not isinstance(self._ready, re.Pattern):
            return
        *lines, self._unfinished = (self._unfinished + printed).split(b"\n")
        self._reached = any(
            self._ready.search(line.decode("utf-8", "backslashreplace")) for line in lines
        )

    def is_reached(self) -> bool:
        """Look whether the server is ready; once it was, it stays so."""
        if not self._reached and isinstance(self._ready, int):
            self._reached = is_served_by([self._server, *descendants(self._server)], self._ready)
        return self._reached
