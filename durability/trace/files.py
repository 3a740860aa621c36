"""The watched files that the target holds open, and their descriptor numbers.

A number names the same open file in every process that inherited it, because the supervisor draws
each number itself and does not use it again while anyone may still hold it. So a fork needs no
bookkeeping. What a process drops silently (by exec, close_range or exit) is found by looking at
/proc when it matters: before a lock is taken, since our own copy of an open file would keep the
lock alive, and when numbers run short.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from durability.trace.filter import BASE

_IDLE_NUMBERS_MAX: Final = 64


class OpenFile:
    """Our own descriptor of an open file description that the target shares."""

    __slots__ = ("descriptor", "file", "numbers", "path")

    def __init__(self, descriptor: int, file: int, path: bytes) -> None:
        self.descriptor = descriptor
        self.file = file
        self.path = path
        self.numbers = 0


class Files:
    """The open files by descriptor number, and the inodes by the counter that names them."""

    def __init__(self, holders: Callable[[], Iterable[int]]) -> None:
        """Begin empty; `holders` returns the processes that may hold watched descriptors."""
        self._holders = holders
        self._by_number: dict[int, OpenFile] = {}
        self._free: deque[int] = deque()
        self._next_number = BASE
        self._idle: set[int] = set()
        self._inodes: dict[tuple[int, int], int] = {}
        self._next_inode = 1
        self.holders_unknown = False

    def get(self, number: int) -> OpenFile | None:
        """Return the open file at a descriptor number; None where it is not one of ours."""
        return self._by_number.get(number & 0xFFFFFFFF)

    def inode(self, status: os.stat_result, *, created: bool = False) -> int:
        """Return the number of an inode; a created one is new even if the kernel reused its own."""
        key = status.st_dev, status.st_ino
        if created or key not in self._inodes:
            self._inodes[key] = self._next_inode
            self._next_inode += 1
        return self._inodes[key]

    def reserve(self, process: int) -> int:
        """Return a descriptor number that is free in a process, and in those that share ours."""
        if not self._free and len(self._idle) > _IDLE_NUMBERS_MAX:
            self.release_idle()
        # A number counts as free only once the kernel says so: the close that gave it back may
        # still be under way in another thread, and a target may use high numbers of its own.
        for _ in range(len(self._free)):
            number = self._free.popleft()
            if _is_free(process, number):
                return number
            self._free.append(number)
        while True:
            number = self._next_number
            self._next_number += 1
            if number not in self._by_number and _is_free(process, number):
                return number

    def give_back(self, number: int) -> None:
        """Return a reserved number that was not used after all."""
        self._free.append(number)

    def add(self, number: int, open_file: OpenFile) -> None:
        """Note that the target now has an open file at a number, replacing what was there."""
        previous = self._by_number.get(number)
        open_file.numbers += 1
        self._by_number[number] = open_file
        self._idle.discard(number)
        if previous is not None:
            self._drop(previous)

    def closed(self, number: int) -> None:
        """Note that one process closes a number; others may have inherited it."""
        number &= 0xFFFFFFFF
        if number not in self._by_number:
            return
        if self.holders_unknown:
            self._idle.add(number)
        else:
            self._forget(number)

    def release_idle(self) -> None:
        """Close our copy of every open file that no process of the target holds any more."""
        if not self.holders_unknown:
            return
        held: set[int] = set()
        for process in self._holders():
            with suppress(OSError):
                held.update(int(name) for name in os.listdir(f"/proc/{process}/fd"))
        for number in self._by_number.keys() - held:
            self._forget(number)
        self._idle.clear()

    def renamed(self, source: bytes, destination: bytes) -> None:
        """Follow the paths of open files through a rename of them or of a directory above."""
        below = source + b"/"
        for open_file in self._by_number.values():
            if open_file.path == source or open_file.path.startswith(below):
                open_file.path = destination + open_file.path[len(source) :]

    def close(self) -> None:
        """Let go of everything, locks included."""
        for number in list(self._by_number):
            self._forget(number)

    def _forget(self, number: int) -> None:
        self._drop(self._by_number.pop(number))
        self._free.append(number)

    def _drop(self, open_file: OpenFile) -> None:
        open_file.numbers -= 1
        if not open_file.numbers:
            os.close(open_file.descriptor)


def _is_free(process: int, number: int) -> bool:
    return not os.path.lexists(f"/proc/{process}/fd/{number}")
