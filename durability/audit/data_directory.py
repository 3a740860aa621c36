"""A directory that is only read: its names once, its files whole; on disk or in memory."""

import os
import stat
from collections.abc import Mapping
from io import FileIO
from typing import Protocol

from durability.audit.cursor import MalformedError
from durability.errors import UnreadableError


class DataDirectory(Protocol):
    """The files of one directory, by name in sorted order; `path` is for people."""

    path: str
    names: tuple[str, ...]

    def read(self, name: str) -> bytes:
        """Return a file's whole content.

        Raises:
            MalformedError: it is not a regular file.
            UnreadableError: it is gone or may not be read.
        """


class DirectoryInMemory:
    """Files that are on no disk, by name."""

    def __init__(self, path: str, files: Mapping[str, bytes]) -> None:
        self.path = path
        self.names = tuple(sorted(files))
        self._files = files

    def read(self, name: str) -> bytes:
        """Return a file's whole content."""
        return self._files[name]


class LocalDirectory:
    """A directory on disk, in which nothing is changed.

    Raises:
        UnreadableError: there is no such directory, or it may not be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self.names = tuple(sorted(os.listdir(path)))
        except OSError as error:
            raise UnreadableError(
                f"{printable(path)}: {error.strerror}; give a data directory that you may read"
            ) from error

    def read(self, name: str) -> bytes:
        """Return a file's whole content.

        Raises:
            MalformedError: it is not a regular file.
            UnreadableError: it is gone or may not be read.
        """
        # Without O_NONBLOCK the open of a FIFO waits for a writer that never comes.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(os.path.join(self.path, name), flags)
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise MalformedError(0, "not a regular file")
                return FileIO(descriptor, closefd=False).readall()
            finally:
                os.close(descriptor)
        except OSError as error:
            raise UnreadableError(
                f"{printable(self.path)}/{name}: {error.strerror}; stop the node and audit as a"
                " user who may read its files"
            ) from error


def printable(name: str) -> str:
    """Return a file name as text that every encoder takes, whatever its bytes are."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
