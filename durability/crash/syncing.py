"""What a call makes durable under a model.

ext4     fsync of a file: its content, and the log up to its last change. fdatasync of it: the same,
         but a rename or a link is no such change. fsync of a directory: the whole log.
XFS      fsync and fdatasync of a file or a directory: content, and the log up to its last change.
btrfs    a file: its content; what it takes of names stands in `log_tree.py`.
POSIX    a file: its content. A directory: its entries.

A sync of a file whose last name went to another file does nothing on btrfs, and POSIX promises
nothing of it.

A write with O_DSYNC or O_SYNC syncs the bytes it has written, and the size that they need.
"""

import os
from collections.abc import Callable, Sequence

from durability.crash.models import Model, NameOrder
from durability.crash.operations import (
    ROOT,
    Data,
    FileOperation,
    Grow,
    Names,
    Operation,
    Shrink,
)
from durability.crash.splitting import SYNCHRONOUS, Splitter
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.records import AnyRecord, Sync, SyncAll, Write


def synced_node(record: AnyRecord, splitter: Splitter) -> int | None:
    """Return the file or directory that a record syncs, if there is one."""
    match record:
        case Sync(file=None):
            return splitter.node(record.path)
        case Sync():
            return record.file
        case Write() if record.flags & SYNCHRONOUS:
            return record.file
        case _:
            return None


def synced(
    model: Model, record: AnyRecord, pending: Sequence[Operation], splitter: Splitter
) -> list[Operation]:
    """Return the pending operations that a record makes durable, without what they depend on."""
    match record:
        case SyncAll():
            return list(pending)
        case Sync():
            node = synced_node(record, splitter)
            if node is None:
                return []
            if node > ROOT:
                return _file(model, pending, node, record.data_only, splitter)
            return _directory(model, pending, node, splitter)
        case Write() if record.flags & SYNCHRONOUS:
            data_only = not record.flags & os.RWF_SYNC
            return [
                operation
                for operation in _file(model, pending, record.file, data_only, splitter)
                if _concerns(operation, record)
            ]
        case _:
            return []


def _file(
    model: Model, pending: Sequence[Operation], file: int, data_only: bool, splitter: Splitter
) -> list[Operation]:
    if splitter.is_replaced(file) and model.names in (NameOrder.LOG_TREE, NameOrder.FREE):
        return []
    found: list[Operation] = [
        operation
        for operation in pending
        if isinstance(operation, FileOperation) and operation.file == file
    ]
    if model.names is NameOrder.LOG:
        creation_only = data_only and not model.fdatasync_names
        if creation_only:
            found = _without_undone(found)
        found += _names(
            pending, lambda names: file in names.nodes and (names.creates or not creation_only)
        )
    return found


def _without_undone(operations: list[Operation]) -> list[Operation]:
    """Leave out, of operations on a file, those that an idle truncation behind them undoes."""
    found: list[Operation] = []
    for operation in operations:
        if isinstance(operation, Shrink) and operation.idle:
            end = operation.end
            found = [one for one in found if isinstance(one, Data) and one.offset < end]
        found.append(operation)
    return found


def commits_changes_only(model: Model, record: AnyRecord) -> bool:
    """Tell whether a record leaves out what may change nothing on disk: fdatasync on ext4.

    It commits an inode whose size on disk has changed: fs/ext4/inode.c, ext4_do_update_inode.
    """
    match record:
        case Sync():
            data_only = record.data_only and record.file is not None
        case Write():
            data_only = bool(record.flags & SYNCHRONOUS) and not record.flags & os.RWF_SYNC
        case _:
            data_only = False
    return data_only and not model.fdatasync_names


def _directory(
    model: Model, pending: Sequence[Operation], directory: int, splitter: Splitter
) -> list[Operation]:
    if model.names is NameOrder.LOG_TREE:
        return []
    if model.names is NameOrder.LOG and not model.fdatasync_names:
        # Since Linux 5.10 ext4 commits the whole log: fs/ext4/fsync.c, ext4_fsync_journal.
        return splitter.head
    return _names(
        pending,
        lambda names: names.touches(directory) or (model.logged and directory in names.nodes),
    )


def _concerns(operation: Operation, write: Write) -> bool:
    """Tell whether a synchronous write waits for an operation on its file."""
    first = write.offset // PAGE_BYTES * PAGE_BYTES
    end = write.offset + len(write.data)
    match operation:
        case Data():
            return operation.offset < end and operation.end > first
        case Grow():
            return first < operation.size <= -(-end // PAGE_BYTES) * PAGE_BYTES
        case _:
            return True


def _names(pending: Sequence[Operation], wanted: Callable[[Names], bool]) -> list[Operation]:
    return [names for names in pending if isinstance(names, Names) and wanted(names)]
