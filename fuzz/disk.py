"""A data directory in memory, as `raft.filesystem` wants one, that may die at any operation."""

from collections.abc import Mapping
from typing import Final, NoReturn

from raft.errors import DirectoryLockedError

_READ_BYTES_MAX: Final = 2**20
"""A chunk of a snapshot: the most that may be asked for without a look at the file's size."""


class KilledError(BaseException):
    """The process has been killed before this operation; no code of it may run on."""


class MemoryFile:
    """An open file: its bytes as every process sees them."""

    __slots__ = ("_content", "_filesystem")

    def __init__(self, filesystem: "MemoryFilesystem", content: bytearray) -> None:
        self._filesystem = filesystem
        self._content = content

    def size(self) -> int:
        """Say how long the file is."""
        return len(self._content)

    def read(self, offset: int, size: int) -> bytes:
        """Read `size` bytes at `offset`, or as many as there are.

        Raises:
            MemoryError: far more is asked for than there is. A real read takes memory for all of
                it, and so shows that a size was believed before it was checked.
        """
        if size > max(len(self._content), _READ_BYTES_MAX):
            raise MemoryError(f"a read of {size} bytes; the file has {len(self._content)}")
        return bytes(self._content[offset : offset + size])

    def append(self, data: bytes) -> None:
        """Write at the end."""
        self._filesystem.operate()
        self._content += data

    def overwrite(self, offset: int, data: bytes) -> None:
        """Write over as many bytes at `offset`."""
        self._filesystem.operate()
        assert offset + len(data) <= len(self._content)
        self._content[offset : offset + len(data)] = data

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        self._filesystem.operate()
        del self._content[size:]

    def sync_data(self) -> None:
        """Do nothing: a kill keeps what was written."""
        self._filesystem.operate()

    def sync(self) -> None:
        """Do nothing: a kill keeps what was written."""
        self._filesystem.operate()

    def close(self) -> None:
        """Do nothing: there is no descriptor."""


class MemoryFilesystem:
    """A directory of bytes; the process that uses it is killed before operation `operations_left`.

    `operations_left` counts what changes or syncs something; None lets it live.
    """

    def __init__(self, files: Mapping[str, bytes], operations_left: int | None = None) -> None:
        self._files = {name: bytearray(content) for name, content in files.items()}
        self._operations_left = operations_left
        self._locked = False

    @property
    def files(self) -> dict[str, bytes]:
        """The content of every file."""
        return {name: bytes(content) for name, content in self._files.items()}

    def operate(self) -> None:
        """Count one operation.

        Raises:
            KilledError: the process did not live to perform it.
        """
        if self._operations_left is not None:
            if self._operations_left == 0:
                self._die()
            self._operations_left -= 1

    def lock(self) -> None:
        """Keep every other user out until `close`."""
        if self._locked:
            raise DirectoryLockedError("the directory is in use")
        self._locked = True

    def close(self) -> None:
        """Release the lock."""
        self._locked = False

    def path(self, name: str = "") -> str:
        """Say where a file is: nowhere, so its name is all there is."""
        return name or "."

    def names(self) -> list[str]:
        """List the directory."""
        return list(self._files)

    def create(self, name: str) -> MemoryFile:
        """Create a file that does not exist."""
        self.operate()
        assert name not in self._files
        self._files[name] = bytearray()
        return self.open(name)

    def open(self, name: str) -> MemoryFile:
        """Open a file that exists."""
        return MemoryFile(self, self._files[name])

    def rename(self, old: str, new: str) -> None:
        """Rename a file in one step."""
        self.operate()
        self._files[new] = self._files.pop(old)

    def unlink(self, name: str) -> None:
        """Remove a file."""
        self.operate()
        del self._files[name]

    def sync(self) -> None:
        """Do nothing: a kill keeps every name."""
        self.operate()

    def _die(self) -> NoReturn:
        raise KilledError
