"""A data directory in memory, as a kill leaves it: everything that was written is there."""

import errno
import os
from collections.abc import Mapping
from typing import NoReturn

from raft.errors import DirectoryLockedError, DiskError
from raft.filesystem import File


class Content:
    """What a file holds, whatever its name is by now; it is copied when it is first changed."""

    __slots__ = ("data",)

    def __init__(self, data: bytes | bytearray) -> None:
        self.data = data

    def size(self) -> int:
        """Say how many bytes there are."""
        return len(self.data)

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes at `offset`, or as many as there are."""
        return bytes(self.data[offset : offset + size])

    def changing(self) -> bytearray:
        """Return it as it can be changed in place."""
        if isinstance(self.data, bytes):
            self.data = bytearray(self.data)
        return self.data


class MemoryFile:
    """An open file."""

    __slots__ = ("_content",)

    def __init__(self, content: Content) -> None:
        self._content = content

    def size(self) -> int:
        """Say how long the file is."""
        return self._content.size()

    def read(self, offset: int, size: int) -> bytes:
        """Read `size` bytes at `offset`, or as many as there are."""
        return self._content.read(offset, size)

    def append(self, data: bytes) -> None:
        """Write all of `data` at the end."""
        self._content.changing().extend(data)

    def overwrite(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`, over as many bytes."""
        self._content.changing()[offset : offset + len(data)] = data

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        del self._content.changing()[size:]

    def sync_data(self) -> None:
        """Nothing can be lost."""

    def sync(self) -> None:
        """Nothing can be lost."""

    def close(self) -> None:
        """Nothing is held."""


class MemoryFilesystem:
    """Files by name, in one directory, which behaves as a `raft.filesystem.LocalFilesystem`."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = {name: Content(data) for name, data in files.items()}
        self._locked = False

    def files(self) -> Mapping[str, bytes]:
        """Return what is there, by name."""
        return {name: bytes(content.data) for name, content in self._files.items()}

    def lock(self) -> None:
        """Keep others out until `close`."""
        if self._locked:
            raise DirectoryLockedError(f"another node runs in {self.path()}")
        self._locked = True

    def close(self) -> None:
        """Release the lock."""
        self._locked = False

    def path(self, name: str = "") -> str:
        """Say where a file, or the directory itself, is."""
        return os.path.join("memory", name) if name else "memory"

    def names(self) -> list[str]:
        """List the directory."""
        return list(self._files)

    def create(self, name: str) -> File:
        """Create a file that does not exist, empty."""
        if name in self._files:
            self._fail("create", name, errno.EEXIST)
        content = self._files[name] = Content(b"")
        return MemoryFile(content)

    def open(self, name: str) -> File:
        """Open a file that exists."""
        return MemoryFile(self._existing("open", name))

    def rename(self, old: str, new: str) -> None:
        """Rename a file in one step, over an existing one if there is one."""
        content = self._existing("rename", old)
        del self._files[old]
        self._files[new] = content

    def unlink(self, name: str) -> None:
        """Remove a file."""
        self._existing("remove", name)
        del self._files[name]

    def sync(self) -> None:
        """Nothing can be lost."""

    def _existing(self, action: str, name: str) -> Content:
        content = self._files.get(name)
        if content is None:
            self._fail(action, name, errno.ENOENT)
        return content

    def _fail(self, action: str, name: str, number: int) -> NoReturn:
        raise DiskError(f"cannot {action} {self.path(name)}: {os.strerror(number)}")
