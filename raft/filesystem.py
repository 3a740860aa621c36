"""The only door to the disk: one data directory, and the few operations that a node needs there.

Nothing else in this package touches a file, so a simulation hands in a directory of its own. An
operation that fails raises DiskError and is never tried again: after a failed sync the kernel may
have dropped the data and report success the next time (fsyncgate, LWN 752063).
"""

import fcntl
import os
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from raft.errors import DirectoryLockedError, DiskError


class File(Protocol):
    """An open file: it stays the same one whatever becomes of its name. Offsets are in bytes."""

    def size(self) -> int:
        """Say how long the file is."""

    def read(self, offset: int, size: int) -> bytes:
        """Read `size` bytes at `offset`, or as many as there are."""

    def append(self, data: bytes) -> None:
        """Write all of `data` at the end. After a DiskError a part of it may be there."""

    def overwrite(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`, where the file has as many bytes already."""

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""

    def sync_data(self) -> None:
        """Make the content durable, and the size that it takes to read it (fdatasync)."""

    def sync(self) -> None:
        """Make the content and all attributes durable (fsync). The file's name is not included."""

    def close(self) -> None:
        """Give the descriptor back. Nothing is synced."""


class Filesystem(Protocol):
    """One data directory. Names are those of files directly in it.

    Every method raises DiskError where the disk does not do what it was asked for.
    """

    def lock(self) -> None:
        """Keep every other process out until `close`.

        Raises:
            DirectoryLockedError: another one is in.
        """

    def close(self) -> None:
        """Release the lock and the directory. Files stay open."""

    def path(self, name: str = "") -> str:
        """Say where a file, or the directory itself, is: for people, in errors."""

    def names(self) -> list[str]:
        """List the directory, in any order."""

    def create(self, name: str) -> File:
        """Create a file that does not exist, empty. Its name is durable after `sync`."""

    def open(self, name: str) -> File:
        """Open a file that exists."""

    def rename(self, old: str, new: str) -> None:
        """Rename a file in one step, over an existing one if there is one. Durable after `sync`."""

    def unlink(self, name: str) -> None:
        """Remove a file. Durable after `sync`."""

    def sync(self) -> None:
        """Make the directory durable: names created, renamed and removed until now."""


class _Attempt:
    """Turns an OSError of the block into a DiskError that says what was attempted, and on what."""

    __slots__ = ("_action", "_path")

    def __init__(self, action: str, path: str) -> None:
        self._action = action
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            text = f"cannot {self._action} {self._path}: {error.strerror}"
            raise DiskError(text) from error


class LocalFile:
    """A file of the operating system's, whose position is always its end.

    It is not opened with O_APPEND: Linux would have pwrite append as well (pwrite(2), bugs).
    """

    __slots__ = ("_descriptor", "_path")

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self._path = path

    def size(self) -> int:
        """Say how long the file is."""
        with _Attempt("look at", self._path):
            return os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        """Read `size` bytes at `offset`, or as many as there are."""
        parts = []
        with _Attempt("read", self._path):
            # One read(2) returns at most 2 GiB, and may be short without being at the end.
            while size and (part := os.pread(self._descriptor, size, offset)):
                parts.append(part)
                offset += len(part)
                size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def append(self, data: bytes) -> None:
        """Write all of `data` at the end."""
        with _Attempt("write", self._path):
            written = os.write(self._descriptor, data)
            # A short write is no failure: whatever stopped it is what the next one reports.
            while written < len(data):
                written += os.write(self._descriptor, memoryview(data)[written:])

    def overwrite(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`, over as many bytes."""
        written = 0
        with _Attempt("write", self._path):
            while written < len(data):
                rest = memoryview(data)[written:]
                written += os.pwrite(self._descriptor, rest, offset + written)

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        with _Attempt("truncate", self._path):
            os.ftruncate(self._descriptor, size)
            os.lseek(self._descriptor, size, os.SEEK_SET)

    def sync_data(self) -> None:
        """Make the content durable (fdatasync)."""
        with _Attempt("sync", self._path):
            os.fdatasync(self._descriptor)

    def sync(self) -> None:
        """Make the content and all attributes durable (fsync)."""
        with _Attempt("sync", self._path):
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Give the descriptor back."""
        with _Attempt("close", self._path):
            os.close(self._descriptor)


class LocalFilesystem:
    """A directory of the operating system's, which exists: who creates it syncs its parent.

    Everything goes through one descriptor of the directory, so what is locked, written and synced
    is the same directory even if it is moved meanwhile.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        with _Attempt("open", self._path):
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)

    def lock(self) -> None:
        """Keep every other process out until `close`, with a flock on the directory itself."""
        with _Attempt("lock", self._path):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DirectoryLockedError(
                    f"another process runs a node in {self._path}"
                ) from error

    def close(self) -> None:
        """Release the lock and the directory."""
        with _Attempt("close", self._path):
            os.close(self._descriptor)

    def path(self, name: str = "") -> str:
        """Say where a file, or the directory itself, is."""
        return os.path.join(self._path, name) if name else self._path

    def names(self) -> list[str]:
        """List the directory, in any order."""
        with _Attempt("list", self._path):
            return os.listdir(self._descriptor)

    def create(self, name: str) -> LocalFile:
        """Create a file that does not exist, empty."""
        return self._open(name, "create", os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def open(self, name: str) -> LocalFile:
        """Open a file that exists."""
        return self._open(name, "open", os.O_RDWR)

    def rename(self, old: str, new: str) -> None:
        """Rename a file in one step, over an existing one if there is one."""
        with _Attempt("rename", self.path(old)):
            os.rename(old, new, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def unlink(self, name: str) -> None:
        """Remove a file."""
        with _Attempt("remove", self.path(name)):
            os.unlink(name, dir_fd=self._descriptor)

    def sync(self) -> None:
        """Make the directory durable."""
        with _Attempt("sync", self._path):
            os.fsync(self._descriptor)

    def _open(self, name: str, action: str, flags: int) -> LocalFile:
        path = self.path(name)
        with _Attempt(action, path):
            descriptor = os.open(name, flags, 0o644, dir_fd=self._descriptor)
            os.lseek(descriptor, 0, os.SEEK_END)
            return LocalFile(descriptor, path)


def replace_file(filesystem: Filesystem, name: str, write: Callable[[File], None]) -> None:
    """Give the file `name` a new content in one durable step, through the temporary `name`.tmp.

    `write` appends the content. A crash at any moment leaves the old content or the new one.
    """
    temporary = f"{name}.tmp"
    file = filesystem.create(temporary)
    try:
        write(file)
        file.sync()
    finally:
        file.close()
    filesystem.rename(temporary, name)
    filesystem.sync()


def read_all(filesystem: Filesystem, name: str) -> bytes:
    """Read a whole file."""
    file = filesystem.open(name)
    try:
        return file.read(0, file.size())
    finally:
        file.close()
