"""A run written down step by step, as records and as what the kernel does of its own accord."""

import os
from typing import Final, Self

import msgspec

from durability.trace.records import (
    Allocate,
    AnyRecord,
    Link,
    MakeDirectory,
    Open,
    Output,
    Rename,
    Sync,
    SyncAll,
    Truncate,
    Unlink,
    Write,
)
from durability.trace.trace import Trace

_THREAD: Final = 1


class WriteBack(msgspec.Struct, frozen=True):
    """The kernel writes pages of a file to their blocks, which it may do at any time.

    Unless it `waits`, it has only begun to when the next step comes.
    """

    file: int
    offset: int
    length: int
    waits: bool = True


class Commit(msgspec.Struct, frozen=True):
    """The file system commits its log, or ends its transaction, of its own accord."""


class Burden(msgspec.Struct, frozen=True):
    """The device has much else to write, and is late with what it is given next."""


KernelStep = WriteBack | Commit | Burden
"""What no program asks for, and no trace holds."""

Step = AnyRecord | KernelStep


class Script:
    """Steps, added one by one; `steps` holds them. Paths are those of the file's creation."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._paths: list[bytes] = [b""]
        self._sizes: list[int] = [0]

    def trace(self) -> Trace:
        """Return what a trace of it would hold."""
        return Trace([], [step for step in self.steps if not isinstance(step, KernelStep)])

    def create(self, path: bytes, content: bytes = b"") -> int:
        """Create a file, unsynced; return its number."""
        file = len(self._paths)
        self._paths.append(path)
        self._sizes.append(0)
        flags = os.O_CREAT | os.O_WRONLY if path else os.O_TMPFILE | os.O_WRONLY
        self.steps.append(Open(_THREAD, file, path, flags, created=True))
        if content:
            self.append(file, content)
        return file

    def append(self, file: int, data: bytes) -> Self:
        """Write at the end that the writes of this script have given the file."""
        return self.write(file, self._sizes[file], data)

    def write(self, file: int, offset: int, data: bytes, flags: int = 0) -> Self:
        """Write at an offset."""
        self._sizes[file] = max(self._sizes[file], offset + len(data))
        path = self._paths[file]
        return self.add(Write(_THREAD, file, path, offset, data, len(data), flags=flags))

    def truncate(self, file: int, size: int) -> Self:
        """Set a file's size."""
        self._sizes[file] = size
        return self.add(Truncate(_THREAD, file, self._paths[file], size))

    def allocate(self, file: int, offset: int, length: int, mode: int = 0) -> Self:
        """Change a file's blocks by fallocate(2)."""
        return self.add(Allocate(_THREAD, file, self._paths[file], mode, offset, length))

    def rename(self, source: bytes, destination: bytes, *, exchange: bool = False) -> Self:
        """Rename a file or directory, or let two change places."""
        return self.add(Rename(_THREAD, source, destination, exchange))

    def link(self, file: int, path: bytes) -> Self:
        """Give a file a further name."""
        return self.add(Link(_THREAD, file, path))

    def unlink(self, path: bytes) -> Self:
        """Remove a name."""
        return self.add(Unlink(_THREAD, path))

    def make_directory(self, path: bytes) -> Self:
        """Create a directory."""
        return self.add(MakeDirectory(_THREAD, path))

    def sync(self, file: int, *, data_only: bool = False) -> Self:
        """Sync a file."""
        return self.add(Sync(_THREAD, self._paths[file], data_only, file))

    def sync_directory(self, path: bytes = b"") -> Self:
        """Sync a directory."""
        return self.add(Sync(_THREAD, path, data_only=False))

    def sync_all(self) -> Self:
        """Sync everything."""
        return self.add(SyncAll(_THREAD))

    def sync_bystander(self) -> Self:
        """Create and sync a file that has nothing to do with the others."""
        return self.sync(self.create(b"bystander", b"x"))

    def write_back(self, file: int, offset: int, length: int, *, waits: bool = True) -> Self:
        """Let the kernel write pages of its own accord."""
        return self.add(WriteBack(file, offset, length, waits))

    def acknowledge(self, line: bytes = b"done\n") -> Self:
        """Promise something."""
        return self.add(Output(line))

    def commit(self) -> Self:
        """Let the file system commit its log of its own accord."""
        return self.add(Commit())

    def add(self, step: Step) -> Self:
        """Add any step."""
        self.steps.append(step)
        return self
