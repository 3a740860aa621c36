"""A run, performed below a directory by the system calls that its records stand for."""

import os
import random
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from durability.crash.validation import kernel
from durability.crash.validation.file_system import LoopFileSystem
from durability.crash.validation.script import Burden, Commit, Step, WriteBack
from durability.errors import MechanismError
from durability.trace import system
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.records import (
    Allocate,
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
_PAGES_MAX: Final = 4
_COMMITTED_SHARE: Final = 0.2
_WAITED_SHARE: Final = 0.7


class Performance:
    """Performs records on a real file system; a context manager that closes its descriptors."""

    def __init__(self, file_system: LoopFileSystem) -> None:
        self._file_system = file_system
        self._root = os.fsencode(file_system.root)
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

    def perform_on_its_own(self, chance: random.Random) -> None:
        """Do what a kernel does of its own accord: write some pages, or commit the log."""
        if chance.random() < _COMMITTED_SHARE:
            self._file_system.commit()
        elif self._descriptors:
            file = chance.choice(list(self._descriptors))
            offset = chance.randrange(_PAGES_MAX) * PAGE_BYTES
            length = chance.randint(1, _PAGES_MAX) * PAGE_BYTES
            self._write_back(file, offset, length, wait=chance.random() < _WAITED_SHARE)

    def _write_back(self, file: int, offset: int, length: int, *, wait: bool) -> None:
        wait = wait or self._file_system.is_copied
        kernel.write_back(self._descriptors[file], offset, length, wait=wait)

    def perform(self, record: Step) -> None:
        """Perform one step. Raises OSError, and MechanismError where a write is short here."""
        match record:
            case WriteBack():
                self._write_back(record.file, record.offset, record.length, wait=record.waits)
            case Commit():
                self._file_system.commit()
            case Burden():
                self._file_system.burden()
            case Open():
                self._open(record)
            case Write():
                self._write(record)
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

    def close(self, file: int) -> None:
        """Close a file that was opened, which some file systems begin to write back then."""
        os.close(self._descriptors.pop(file))

    def _path(self, path: bytes) -> bytes:
        return os.path.join(self._root, path)

    def _open(self, record: Open) -> None:
        descriptor = os.open(self._path(record.path), record.flags, 0o600)
        previous = self._descriptors.setdefault(record.file, descriptor)
        if previous != descriptor:
            os.close(descriptor)

    def _write(self, record: Write) -> None:
        """Write what went into the file, which may be less than the run had asked for."""
        descriptor = self._descriptors[record.file]
        count = os.pwritev(descriptor, [record.data], record.offset, record.flags)
        if count != len(record.data):
            raise MechanismError(f"of {record} only {count} were written")

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

    def _change_names(self, record: Step) -> None:
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
