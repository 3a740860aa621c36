"""The processes under a filter, as /proc shows them."""

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from durability.errors import MechanismError
from durability.trace.memory import Memory
from durability.trace.notification import Listener

_ENDED: Final = (b"Z", b"X")
"""The states of threads that have ended, in /proc/PID/stat: proc_pid_stat(5)."""


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
        another's, so what was read under it is not to be believed. Raises MechanismError for a
        process that cannot be read, or whose files we would create as another user.
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
        if "Umask" not in fields:
            raise ProcessLookupError(thread)  # it is ending, and has let go of its file system
        number = int(fields["Tgid"])
        file_system_user = int(fields["Uid"].split()[3])
        if file_system_user != os.geteuid():
            raise MechanismError(
                f"process {number} of the target runs as user {file_system_user}, the tracer as "
                f"{os.geteuid()}: it can only act for its own user; start it as that one"
            )
        process = self._by_number.get(number)
        if process is None:
            try:
                process = Process(number, int(fields["Umask"], 8))
            except PermissionError as error:
                raise MechanismError(
                    f"process {number} of the target cannot be read: it has made itself "
                    "undumpable, or its program may be executed but not read"
                ) from error
            self._by_number[number] = process
        return process

    def forget(self) -> None:
        """Drop what is known: after a clone or an exec, numbers may mean other processes."""
        for process in self._by_number.values():
            process.memory.close()
        self._by_thread.clear()
        self._by_number.clear()


def descendants(of: int) -> list[int]:
    """Return the descendants of a process, parents before children, zombies among them."""
    found: list[int] = []
    waiting = [of]
    while waiting:
        parent = waiting.pop()
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{parent}/task"):
                with (
                    suppress(OSError),
                    open(f"/proc/{parent}/task/{thread}/children", encoding="utf-8") as file,
                ):
                    children = [int(number) for number in file.read().split()]
                    found += children
                    waiting += children
    return found


def living_threads(processes: Iterable[int]) -> set[int]:
    """Return the threads of processes, but for those that have ended and were not waited for."""
    found: set[int] = set()
    for process in processes:
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{process}/task"):
                with (
                    suppress(OSError),
                    open(f"/proc/{process}/task/{thread}/stat", "rb") as file,
                ):
                    # A name may hold anything, parentheses too; the state comes behind it.
                    state = file.read().rpartition(b")")[2].split()[0]
                    if state not in _ENDED:
                        found.add(int(thread))
    return found
