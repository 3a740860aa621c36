"""From records to micro-operations, with the dependencies that a model puts between them.

A `Splitter` follows a run as its processes see it, in `FileChanges` and `NameChanges`, and gives
each record to whichever it concerns. The order of ext4's and XFS's own steps is explained in
`docs/persistence-models.md`.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, Final

from durability.crash.file_changes import FileChanges
from durability.crash.models import Model
from durability.crash.name_changes import NameChanges
from durability.crash.operation_log import OperationLog
from durability.crash.operations import Operation, Slot
from durability.crash.storage import Directories
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

SYNCHRONOUS: Final = os.RWF_SYNC | os.RWF_DSYNC
"""The flags of a write that returns when it is durable."""


class Splitter:
    """Turns the records of one run, in order, into micro-operations under a model."""

    def __init__(self, model: Model) -> None:
        self._log = OperationLog(model)
        self._files = FileChanges(model, self._log)
        self._directories = NameChanges(model, self._log, self._files)
        self._splits: dict[type[AnyRecord], Callable[[Any], Iterator[Operation]]] = {
            Open: self._open,
            Write: self._write,
            Truncate: self._files.truncate,
            Allocate: self._files.allocate,
            Rename: self._directories.rename,
            Link: self._directories.link,
            Symlink: self._directories.symlink,
            Unlink: self._directories.remove,
            MakeDirectory: self._directories.make_directory,
            RemoveDirectory: self._directories.remove,
            Sync: self._sync,
            SyncAll: self._sync_all,
        }

    def split(self, record: AnyRecord, number: int) -> Iterator[Operation]:
        """Yield the parts of a record, which is the `number`-th of its trace, in order."""
        self._log.record = number
        split = self._splits.get(type(record))
        return iter(()) if split is None else split(record)

    @property
    def names(self) -> Directories:
        """The names that processes see."""
        return self._directories.names

    @property
    def symlinks(self) -> dict[int, bytes]:
        """What each symbolic link holds."""
        return self._directories.symlinks

    def locate(self, path: bytes) -> Slot:
        """Return the directory and the name that a path leads to."""
        return self._directories.locate(path)

    def node(self, path: bytes) -> int | None:
        """Return what a path leads to; the root for an empty one."""
        return self._directories.node(path)

    def is_named(self, node: int) -> bool:
        """Tell whether a node has a name."""
        return self._directories.is_named(node)

    def is_replaced(self, node: int) -> bool:
        """Tell whether a node lost its last name to another node."""
        return self._directories.is_replaced(node)

    @property
    def head(self) -> list[Operation]:
        """The last operation in the log."""
        return [] if self._log.head is None else [self._log.head]

    def _open(self, record: Open) -> Iterator[Operation]:
        yield from self._directories.create(record)
        if record.flags & os.O_TRUNC:
            yield from self._files.set_size(record.file, record.path, 0)

    def _write(self, record: Write) -> Iterator[Operation]:
        yield from self._files.write(record)
        if record.flags & SYNCHRONOUS:
            self._directories.enter_log_tree(record.file, record.path)

    def _sync(self, record: Sync) -> Iterator[Operation]:
        node = self.node(record.path) if record.file is None else record.file
        if node is not None:
            self._directories.enter_log_tree(node, record.path)
        return iter(())

    def _sync_all(self, _record: SyncAll) -> Iterator[Operation]:
        self._directories.forget()
        return iter(())
