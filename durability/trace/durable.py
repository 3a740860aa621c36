"""What of a file is on disk for certain: as of its last sync, or written synchronously since."""

import os
from collections.abc import Iterable, Sequence

from durability.trace.records import (
    Allocate,
    AnyRecord,
    Open,
    Sync,
    SyncAll,
    Truncate,
    Write,
    is_change,
    names_changed,
)
from durability.trace.tree import Tree


def durable_content(initial: Iterable[AnyRecord], records: Iterable[AnyRecord], file: int) -> bytes:
    """Return the durable content of a file after some records; what was there before is durable."""
    tree = Tree(initial)
    durable = bytearray(tree.contents[file])
    for record in records:
        tree.apply(record)
        if syncs(record, file, tree):
            durable = bytearray(tree.contents[file])
        elif isinstance(record, Write) and record.file == file and record.flags & os.RWF_DSYNC:
            end = record.offset + len(record.data)
            durable.extend(bytes(max(0, end - len(durable))))
            durable[record.offset : end] = record.data
    return bytes(durable)


def syncs(record: AnyRecord, file: int, tree: Tree) -> bool:
    """Tell whether a record makes a file durable; one opened for reading is known by its path."""
    if isinstance(record, Sync):
        synced = tree.files.get(record.path) if record.file is None else record.file
        return synced == file
    return isinstance(record, SyncAll)


def is_clean(records: Sequence[AnyRecord], path: bytes, file: int | None) -> bool:
    """Tell whether a sync has nothing to write after some records, of a file or, None, directory.

    What was there before is durable.
    """
    for record in reversed(records):
        if isinstance(record, SyncAll):
            return True
        if isinstance(record, Sync):
            if path == record.path if record.file is None else file == record.file:
                return True
        elif file is None:
            if any(os.path.dirname(name) == path for name in names_changed(record)):
                return False
        elif _changes(record, file):
            return False
    return True


def _changes(record: AnyRecord, file: int) -> bool:
    """Tell whether a record changes a file in the cache alone."""
    match record:
        case Write(file=changed):
            return changed == file and not is_sync(record)
        case Truncate(file=changed) | Allocate(file=changed) | Open(file=changed):
            return changed == file and is_change(record)
    return False


def is_sync(record: AnyRecord) -> bool:
    """Tell whether a record is a sync, or a synchronous write."""
    if isinstance(record, Write):
        return bool(record.flags & os.RWF_DSYNC)
    return isinstance(record, Sync | SyncAll)
