"""A data directory on a disk that fails: what was written is cached, what was synced is durable.

One operation, counted from 1, fails as `trace.failure` says; a write behind a half of it, since
who writes by this door writes all or fails.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NoReturn

from durability.recovery.memory import MemoryFilesystem
from durability.trace.failure import ERRNO, Failure
from raft.errors import DiskError
from raft.filesystem import File

_CHANGES: Final[tuple[Failure, ...]] = ("write-eio",)
_ROOM: Final[tuple[Failure, ...]] = ("write-eio", "write-enospc", "disk-full")
_SYNCS: Final[tuple[Failure, ...]] = ("sync-eio-kept", "sync-eio-reverted")


@dataclass(slots=True)
class _Inode:
    cached: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    dirty: list[tuple[int, bytes | None]] = field(default_factory=list)
    """What to write at an offset, in order; with None the file is cut there."""

    def change(self, offset: int, data: bytes | None) -> None:
        _apply(self.cached, offset, data)
        self.dirty.append((offset, data))

    def flush(self) -> None:
        for offset, data in self.dirty:
            _apply(self.durable, offset, data)
        self.dirty.clear()


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


class FailingDisk:
    """The disk: it outlives the processes that use it. `fired` says whether its fault has come."""

    def __init__(
        self,
        failure: Failure,
        at: int,
        before_saving: Callable[["FailingDisk"], None] = lambda _: None,
    ) -> None:
        """Let the `at`-th operation fail of those that the failure, one in memory, may meet.

        From then on `before_saving` is called before each sync that makes anything durable.
        """
        self._before_saving = before_saving
        self._failure = failure
        self._at = at
        self._count = 0
        self.fired = False
        self.names: dict[str, _Inode] = {}
        self._durable_names: dict[str, _Inode] = {}

    def cached(self) -> dict[str, bytes]:
        """Return what a process sees that is started now."""
        return {name: bytes(inode.cached) for name, inode in self.names.items()}

    @property
    def is_full(self) -> bool:
        """Whether there is no room."""
        return self.fired and self._failure == "disk-full" and self._at > 0

    def without_power(self) -> "FailingDisk":
        """Return what is durable, as a disk on which nothing fails."""
        left = FailingDisk(self._failure, 0)
        for name, inode in self._durable_names.items():
            left.names[name] = _Inode(bytearray(inode.durable), bytearray(inode.durable))
        left._durable_names = dict(left.names)
        return left

    def lose_power(self) -> None:
        """Forget what is not durable."""
        self.names = dict(self._durable_names)
        for inode in self.names.values():
            inode.cached = bytearray(inode.durable)
            inode.dirty.clear()

    def make_room(self) -> None:
        """Let the disk be full no more, and nothing fail from now on."""
        self._at = 0

    def write(self, inode: _Inode, offset: int, data: bytes) -> None:
        """Write, or fail behind a half of it."""
        if self._fails(_ROOM):
            inode.change(offset, data[: len(data) // 2])
            _fail(ERRNO[self._failure])
        inode.change(offset, data)

    def create(self, name: str) -> _Inode:
        """Create a file, or fail without."""
        if self._fails(_ROOM):
            _fail(ERRNO[self._failure])
        inode = self.names[name] = _Inode()
        return inode

    def change(self) -> None:
        """Permit a change that needs no room, or fail."""
        if self._fails(_CHANGES):
            _fail(ERRNO[self._failure])

    def sync(self, inode: _Inode) -> None:
        """Make a file durable, or fail once."""
        if self._fails(_SYNCS):
            inode.dirty.clear()
            if self._failure == "sync-eio-reverted":
                inode.cached = bytearray(inode.durable)
            _fail(errno.EIO)
        self._save()
        inode.flush()

    def sync_names(self) -> None:
        """Make the directory durable, or fail: names count as clean only once they are logged."""
        if self._fails(_SYNCS):
            _fail(errno.EIO)
        self._save()
        self._durable_names = dict(self.names)

    def _save(self) -> None:
        if self.fired:
            self._before_saving(self)

    def _fails(self, may_meet: tuple[Failure, ...]) -> bool:
        if self._failure not in may_meet:
            return False
        self._count += 1
        fails = self._count == self._at or (
            self._failure == "disk-full" and 0 < self._at <= self._count
        )
        self.fired |= fails
        return fails


class _FailingFile:
    """An open file on the disk."""

    __slots__ = ("_disk", "_inode")

    def __init__(self, disk: FailingDisk, inode: _Inode) -> None:
        self._disk = disk
        self._inode = inode

    def size(self) -> int:
        """Say how long the file is."""
        return len(self._inode.cached)

    def read(self, offset: int, size: int) -> bytes:
        """Read `size` bytes at `offset`, or as many as there are."""
        return bytes(self._inode.cached[offset : offset + size])

    def append(self, data: bytes) -> None:
        """Write all of `data` at the end."""
        self._disk.write(self._inode, len(self._inode.cached), data)

    def overwrite(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`, over as many bytes."""
        self._disk.write(self._inode, offset, data)

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        self._disk.change()
        self._inode.change(size, None)

    def sync_data(self) -> None:
        """Make the content durable."""
        self._disk.sync(self._inode)

    def sync(self) -> None:
        """Make the content durable."""
        self._disk.sync(self._inode)

    def close(self) -> None:
        """Nothing is held."""


class FailingFilesystem(MemoryFilesystem):
    """One process's view of the disk."""

    def __init__(self, disk: FailingDisk) -> None:
        super().__init__({})
        self._disk = disk

    def names(self) -> list[str]:
        """List the directory."""
        return list(self._disk.names)

    def create(self, name: str) -> File:
        """Create a file that does not exist, empty."""
        if name in self._disk.names:
            _fail(errno.EEXIST)
        return _FailingFile(self._disk, self._disk.create(name))

    def open(self, name: str) -> File:
        """Open a file that exists."""
        return _FailingFile(self._disk, self._existing_inode(name))

    def rename(self, old: str, new: str) -> None:
        """Rename a file in one step, over an existing one if there is one."""
        inode = self._existing_inode(old)
        self._disk.change()
        del self._disk.names[old]
        self._disk.names[new] = inode

    def unlink(self, name: str) -> None:
        """Remove a file."""
        self._existing_inode(name)
        self._disk.change()
        del self._disk.names[name]

    def sync(self) -> None:
        """Make the directory durable."""
        self._disk.sync_names()

    def _existing_inode(self, name: str) -> _Inode:
        inode = self._disk.names.get(name)
        if inode is None:
            _fail(errno.ENOENT)
        return inode


def _fail(number: int) -> NoReturn:
    raise DiskError(os.strerror(number))
