"""The processes under a filter, as /proc shows them."""

import os
from contextlib import suppress

from durability.trace.memory import Memory
from durability.trace.notification import Listener


class Process:
    """One address space and its file mode creation mask."""

    def __init__(self, number: int, umask: int) -> None:
        self.number = number
        self.umask = umask
        self.memory = Memory(number)


class Processes:
    """Finds the process a thread belongs to, once for each thread."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._by_thread: dict[int, Process] = {}
        self._by_number: dict[int, Process] = {}

    def of(self, thread: int, notification: int) -> Process:
        """Return the process of a thread that waits in a notified call.

        Raises ProcessLookupError where the thread was killed meanwhile: its number may already be
        another's, so what was read under it is not to be believed.
        """
        process = self._by_thread.get(thread)
        if process is None:
            process = self._find(thread)
            if not self._listener.is_waiting(notification):
                raise ProcessLookupError(thread)
            self._by_thread[thread] = process
        return process

    def _find(self, thread: int) -> Process:
        with open(f"/proc/{thread}/status", encoding="utf-8", errors="replace") as status:
            fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
        number = int(fields["Tgid"])
        process = self._by_number.get(number)
        if process is None:
            process = self._by_number[number] = Process(number, int(fields["Umask"], 8))
        return process

    def forget(self) -> None:
        """Drop what is known: after a fork or an exec, numbers may mean other processes."""
        for process in self._by_number.values():
            process.memory.close()
        self._by_thread.clear()
        self._by_number.clear()


def descendants(of: int) -> list[int]:
    """Return the living descendants of a process, parents before children."""
    found: list[int] = []
    waiting = [of]
    while waiting:
        parent = waiting.pop()
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{parent}/task"):
                with (
                    suppress(OSError),
                    open(f"/proc/{parent}/task/{thread}/children", encoding="ascii") as file,
                ):
                    children = [int(number) for number in file.read().split()]
                    found += children
                    waiting += children
    return found
