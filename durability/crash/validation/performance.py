"""A run, performed below a directory by the system calls that its records stand for."""

import os
import random
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from durability.crash.validation import kernel
from durability.trace import system
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.records import (
    Allocate,
    AnyRecord,
    Link,
    MakeDirectory,
    Open,
    RemoveDirectory,
    Rename,
    Symlink,
    Sync,
    SyncAll,
    Truncate,
    Unlink,
    Write,
)

_RENAME_EXCHANGE: Final = 2
_FOLLOW: Final = 0x400


class Performance:
    """Performs records on a real file system; a context manager that closes its descriptors."""

    def __init__(self, root: str) -> None:
        self._root = os.fsencode(root)
        self._descriptors: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)

    def write_back_some(self, chance: random.Random) -> None:
        """Have the kernel write a few pages of some file early, and perhaps wait for it."""
        if not self._descriptors:
            return
        descriptor = chance.choice(list(self._descriptors.values()))
        offset = chance.randrange(4) * PAGE_BYTES
        length = chance.choice((1, 1, 2, 4)) * PAGE_BYTES
        kernel.write_back(descriptor, offset, length, wait=chance.random() < 0.7)

    def perform(self, record: AnyRecord) -> None:
        """Perform one record. Raises OSError."""
        match record:
            case Open():
                self._open(record)
            case Write():
                data, at, flags = [record.data], record.offset, record.flags
                assert os.pwritev(self._descriptors[record.file], data, at, flags) == record.asked
            case Truncate():
                os.ftruncate(self._descriptors[record.file], record.size)
            case Allocate():
                descriptor = self._descriptors[record.file]
                system.fallocate(descriptor, record.mode, record.offset, record.length)
            case Sync():
                self._sync(record)
            case SyncAll():
                self._at(b"", kernel.sync_file_system)
            case _:
                self._change_names(record)

    def _path(self, path: bytes) -> bytes:
        return os.path.join(self._root, path)

    def _open(self, record: Open) -> None:
        descriptor = os.open(self._path(record.path), record.flags, 0o600)
        previous = self._descriptors.setdefault(record.file, descriptor)
        if previous != descriptor:
            os.close(descriptor)

    def _sync(self, record: Sync) -> None:
        if record.file is None:
            self._at(record.path, os.fdatasync if record.data_only else os.fsync)
        elif record.data_only:
            os.fdatasync(self._descriptors[record.file])
        else:
            os.fsync(self._descriptors[record.file])

    def _at(self, path: bytes, synchronise: Callable[[int], None]) -> None:
        descriptor = os.open(self._path(path), os.O_RDONLY)
        try:
            synchronise(descriptor)
        finally:
            os.close(descriptor)

    def _change_names(self, record: AnyRecord) -> None:
        match record:
            case Rename():
                flags = _RENAME_EXCHANGE if record.exchange else 0
                system.rename(self._path(record.source), self._path(record.destination), flags)
            case Link():
                held = b"/proc/self/fd/%d" % self._descriptors[record.file]
                system.link(held, self._path(record.path), _FOLLOW)
            case Symlink():
                os.symlink(record.content, self._path(record.path))
            case Unlink():
                os.unlink(self._path(record.path))
            case MakeDirectory():
                os.mkdir(self._path(record.path))
            case RemoveDirectory():
                os.rmdir(self._path(record.path))
