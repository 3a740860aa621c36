"""Disks for tests: one in memory that knows what is durable, and a filesystem that is watched."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from durability.simulation import disk as simulation
from durability.simulation.disk import Content
from raft.errors import DirectoryLockedError
from raft.filesystem import File, Filesystem


class Operation(NamedTuple):
    """One mutating operation: `name` is empty for the directory."""

    verb: str
    name: str
    data: bytes = b""
    number: int = 0  # offset or size in bytes
    new_name: str = ""


class Disk(simulation.Disk):
    """A directory: what processes see of it, and what a power cut leaves of it at the least."""

    @classmethod
    def of(cls, files: dict[str, bytes]) -> Disk:
        disk = cls()
        disk.written = {name: Content(bytearray(data), data) for name, data in files.items()}
        disk.synced = dict(disk.written)
        return disk

    @property
    def names(self) -> dict[str, Content]:
        return self.written

    def after_kill(self) -> dict[str, bytes]:
        return {name: bytes(content.written) for name, content in self.written.items()}

    def after_power_cut(self) -> dict[str, bytes]:
        return {name: content.synced for name, content in self.synced.items()}

    def perform(self, operation: Operation) -> None:
        verb, name, data, number, new_name = operation
        match verb:
            case "create":
                assert name not in self.names
                self.names[name] = Content()
            case "append":
                self.names[name].written += data
            case "overwrite":
                assert number + len(data) <= len(self.names[name].written)
                self.names[name].rewrite()[number : number + len(data)] = data
            case "truncate":
                del self.names[name].rewrite()[number:]
            case "rename":
                self.names[new_name] = self.names.pop(name)
            case "unlink":
                del self.names[name]
            case "sync" if name:
                self.names[name].sync()
                self.synced_now()
            case "sync":
                self.synced = dict(self.names)
                self.synced_now()
            case _:
                raise AssertionError(verb)


class MemoryFile:
    """Reads go to the file that was opened, whatever has its name now."""

    def __init__(self, disk: Disk, name: str) -> None:
        self._disk = disk
        self._name = name
        self._content = disk.names[name]

    def size(self) -> int:
        return len(self._content.written)

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self._content.written[offset : offset + size])

    def append(self, data: bytes) -> None:
        self._perform(Operation("append", self._name, data))

    def overwrite(self, offset: int, data: bytes) -> None:
        self._perform(Operation("overwrite", self._name, data, offset))

    def truncate(self, size: int) -> None:
        self._perform(Operation("truncate", self._name, number=size))

    def sync_data(self) -> None:
        self._perform(Operation("sync", self._name))

    def sync(self) -> None:
        self._perform(Operation("sync", self._name))

    def close(self) -> None:
        pass

    def _perform(self, operation: Operation) -> None:
        assert self._disk.names[self._name] is self._content
        self._disk.perform(operation)


class MemoryFilesystem:
    """The process's view of a disk; each has a lock of its own, so dropping it is a kill."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.locked = False

    def lock(self) -> None:
        if self.locked:
            raise DirectoryLockedError("locked")
        self.locked = True

    def close(self) -> None:
        self.locked = False

    def path(self, name: str = "") -> str:
        return f"memory/{name}"

    def names(self) -> list[str]:
        return list(self.disk.names)

    def create(self, name: str) -> File:
        self.disk.perform(Operation("create", name))
        return MemoryFile(self.disk, name)

    def open(self, name: str) -> File:
        assert name in self.disk.names
        return MemoryFile(self.disk, name)

    def rename(self, old: str, new: str) -> None:
        self.disk.perform(Operation("rename", old, new_name=new))

    def unlink(self, name: str) -> None:
        self.disk.perform(Operation("unlink", name))

    def sync(self) -> None:
        self.disk.perform(Operation("sync", ""))


class WatchedFile:
    def __init__(self, file: File, name: str, watch: Callable[[Operation], None]) -> None:
        self._file = file
        self._name = name
        self._watch = watch

    def size(self) -> int:
        return self._file.size()

    def read(self, offset: int, size: int) -> bytes:
        return self._file.read(offset, size)

    def append(self, data: bytes) -> None:
        self._watch(Operation("append", self._name, bytes(data)))
        self._file.append(data)

    def overwrite(self, offset: int, data: bytes) -> None:
        self._watch(Operation("overwrite", self._name, bytes(data), offset))
        self._file.overwrite(offset, data)

    def truncate(self, size: int) -> None:
        self._watch(Operation("truncate", self._name, number=size))
        self._file.truncate(size)

    def sync_data(self) -> None:
        self._watch(Operation("sync", self._name))
        self._file.sync_data()

    def sync(self) -> None:
        self._watch(Operation("sync", self._name))
        self._file.sync()

    def close(self) -> None:
        self._file.close()


class WatchedFilesystem:
    """Tells `watch` of every mutating operation just before it; `watch` may raise instead."""

    def __init__(self, inner: Filesystem, watch: Callable[[Operation], None]) -> None:
        self._inner = inner
        self._watch = watch
        # A temporary keeps its file object across the rename, so names are those at the open.
        self.lock = inner.lock
        self.close = inner.close
        self.path = inner.path
        self.names = inner.names

    def create(self, name: str) -> File:
        self._watch(Operation("create", name))
        return WatchedFile(self._inner.create(name), name, self._watch)

    def open(self, name: str) -> File:
        return WatchedFile(self._inner.open(name), name, self._watch)

    def rename(self, old: str, new: str) -> None:
        self._watch(Operation("rename", old, new_name=new))
        self._inner.rename(old, new)

    def unlink(self, name: str) -> None:
        self._watch(Operation("unlink", name))
        self._inner.unlink(name)

    def sync(self) -> None:
        self._watch(Operation("sync", ""))
        self._inner.sync()
