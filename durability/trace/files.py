"""The watched files that the target holds open, and their descriptor numbers.

A number names the same open file in every process that inherited it, because the supervisor draws
each number itself and does not use it again while anyone may still hold it. So a fork needs no
bookkeeping. What a process drops silently (by exec, close_range or exit) is found by looking at
/proc when it matters: before a program is executed or a lock is taken, since our own copy of an
open file would keep the file busy and the lock alive, while locks are in use, and when numbers run
short.

A file that became a standard descriptor of some process has no number of ours there. The kernel is
asked, call by call, whether that descriptor is still of this open file.
"""

import heapq
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from durability.trace import system
from durability.trace.filter import BASE, STANDARD_MAX

_STANDARD: Final = frozenset(range(STANDARD_MAX + 1))
_OPEN_FILES_MIN: Final = 64
"""Below this many it is not worth looking which of them are still held."""


class OpenFile:
    """Our own descriptor of an open file description that the target shares.

    `write_flags` are those of pwritev2(2) that every write through it has.
    """

    __slots__ = ("descriptor", "file", "numbers", "path", "write_flags")

    def __init__(self, descriptor: int, file: int, path: bytes, flags: int = 0) -> None:
        self.descriptor = descriptor
        self.file = file
        self.path = path
        self.write_flags = _write_flags(flags)
        self.numbers = 0


class Files:
    """The open files by descriptor number, and the inodes by the counter that names them.

    `holders_unknown` is set once processes exist, or existed, that hold copies of numbers;
    `locks_in_use` once a watched file has been locked.
    """

    def __init__(self, holders: Callable[[], Iterable[int]]) -> None:
        """Begin empty; `holders` returns the processes that may hold watched descriptors."""
        self.holders_unknown = False
        self.locks_in_use = False
        self._holders = holders
        self._by_number: dict[int, OpenFile] = {}
        self._standard: list[OpenFile] = []  # each counted once among its numbers
        self._free: list[int] = []  # a heap
        self._retired: set[int] = set()
        self._next_number = BASE
        self._crowded = _OPEN_FILES_MIN
        self._inodes: dict[tuple[int, int], int] = {}
        self._next_inode = 1

    def get(self, thread: int, number: int) -> OpenFile | None:
        """Return the open file at a thread's descriptor number; None where it is not ours."""
        number &= 0xFFFFFFFF
        if number > STANDARD_MAX:
            return self._by_number.get(number)
        is_same = system.is_same_file
        for open_file in self._standard:
            if is_same(thread, number, open_file.descriptor):
                return open_file
        return None

    def become_standard(self, open_file: OpenFile) -> None:
        """Note that some process has an open file at a standard descriptor from now on.

        Raises PermissionError where it could not be known there again.
        """
        system.is_same_file(os.getpid(), open_file.descriptor, open_file.descriptor)
        if open_file not in self._standard:
            self._standard.append(open_file)
            open_file.numbers += 1

    def behind_magic_link(self, process: int, path: bytes) -> OpenFile | None:
        """Return the watched file that a process's own path /proc/PID/fd/1000 leads to."""
        parent, last = os.path.split(path)
        own = b"/proc/%d/" % process
        if last.isdigit() and parent.startswith(own) and parent.endswith(b"/fd"):
            return self._by_number.get(int(last))
        return None

    def inode(self, status: os.stat_result, *, created: bool = False) -> int:
        """Return the number of an inode; a created one is new even if the kernel reused its own."""
        key = status.st_dev, status.st_ino
        if created or key not in self._inodes:
            self._inodes[key] = self._next_inode
            self._next_inode += 1
        return self._inodes[key]

    def reserve(self, process: int) -> int:
        """Return the lowest number that is free in a process and in all that share its files."""
        if not self._free and len(self._by_number) >= self._crowded:
            self.release_unheld()
        # A number counts as free only once the kernel says so: the close that gave it back may
        # still be under way in another thread, and a target may use high numbers of its own.
        busy: list[int] = []
        number = self._lowest()
        while not _is_free(process, number):
            busy.append(number)
            number = self._lowest()
        for taken in busy:
            heapq.heappush(self._free, taken)
        return number

    def _lowest(self) -> int:
        while self._free:
            if (number := heapq.heappop(self._free)) not in self._retired:
                return number
        while self._next_number in self._by_number or self._next_number in self._retired:
            self._next_number += 1
        self._next_number += 1
        return self._next_number - 1

    def give_back(self, number: int) -> None:
        """Return a reserved number that was not used after all."""
        heapq.heappush(self._free, number)

    def add(self, number: int, open_file: OpenFile) -> None:
        """Note that the target now has an open file at a number, replacing what was there."""
        previous = self._by_number.get(number)
        open_file.numbers += 1
        self._by_number[number] = open_file
        if previous is not None:
            self._drop(previous)

    def closed(self, number: int) -> None:
        """Note that one process closes a number; others may have inherited it."""
        number &= 0xFFFFFFFF
        if not self.holders_unknown and number in self._by_number:
            self._forget(number)

    def retire(self, number: int) -> None:
        """Give a number to no file any more: some process has something else there.

        It would be free in a process forked from that one which closes it, and then be taken for a
        watched file in both.
        """
        self._retired.add(number)
        if number in self._by_number:
            self._drop(self._by_number.pop(number))

    def is_retired(self, number: int) -> bool:
        """Tell whether a number may mean something else to some process."""
        return number in self._retired

    def release_unheld(self) -> bool:
        """Close our copy of each open file that no process holds any more; tell if there was one.

        A process forked meanwhile holds what its parent held, whom we may just have missed: so
        those that have come are looked at too, until there are none.
        """
        if not self._standard and not (self.holders_unknown and self._by_number):
            return False
        held: set[int] = set()
        standard: set[OpenFile] = set()
        seen: set[int] = set()
        while found := set(self._holders()) - seen:
            seen |= found
            for process in found:
                with suppress(OSError):
                    numbers = set(map(int, os.listdir(f"/proc/{process}/fd")))
                    held |= numbers
                    low = numbers & _STANDARD if self._standard else ()
                    standard.update(filter(None, (self.get(process, number) for number in low)))
        unheld = self._by_number.keys() - held if self.holders_unknown else set()
        for number in unheld:
            self._forget(number)
        gone = [open_file for open_file in self._standard if open_file not in standard]
        for open_file in gone:
            self._standard.remove(open_file)
            self._drop(open_file)
        self._crowded = max(_OPEN_FILES_MIN, 2 * len(self._by_number))
        return bool(unheld or gone)

    def renamed(self, source: bytes, destination: bytes) -> None:
        """Follow the paths of open files through a rename of them or of a directory above."""
        below = source + b"/"
        for open_file in {*self._by_number.values(), *self._standard}:
            if open_file.path == source or open_file.path.startswith(below):
                open_file.path = destination + open_file.path[len(source) :]

    def close(self) -> None:
        """Let go of everything, locks included."""
        for number in list(self._by_number):
            self._forget(number)
        while self._standard:
            self._drop(self._standard.pop())

    def _forget(self, number: int) -> None:
        self._drop(self._by_number.pop(number))
        heapq.heappush(self._free, number)

    def _drop(self, open_file: OpenFile) -> None:
        open_file.numbers -= 1
        if not open_file.numbers:
            os.close(open_file.descriptor)


def _write_flags(flags: int) -> int:
    if flags & os.O_SYNC == os.O_SYNC:
        return os.RWF_SYNC | os.RWF_DSYNC
    return os.RWF_DSYNC if flags & os.O_DSYNC else 0


def _is_free(process: int, number: int) -> bool:
    return not os.path.lexists(f"/proc/{process}/fd/{number}")
