"""What of a file is on disk for certain: as of its last sync, or written synchronously since."""

import os
from collections.abc import Iterable

from durability.trace.records import AnyRecord, Sync, SyncAll, Write
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


def is_sync(record: AnyRecord) -> bool:
    """Tell whether a record is a sync, or a synchronous write."""
    if isinstance(record, Write):
        return bool(record.flags & os.RWF_DSYNC)
    return isinstance(record, Sync | SyncAll)
