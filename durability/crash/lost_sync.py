"""What a power cut leaves where a sync failed or never ended: everything but what it was to write.

All else that the run had issued by then is there, as write-back may have it at any time; so nothing
but the lost sync can be to blame.

Of a file, what is lost is lost by pages. Where a later write goes to such a page, the kernel writes
all of it, and what the page lost is saved with it; so a cut is looked at before that, too. Of a
directory, the changes of names since the last sync of anything are lost. File systems log them in
order, so all that came behind the first of them is lost with it; the next sync of anything saves
them, as nothing counts as clean that is not in the log.
"""

import os
from collections.abc import Iterator
from itertools import takewhile

from durability.crash.content import Content
from durability.trace.durable import durable_content, is_sync, syncs
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.records import (
    AnyRecord,
    Failed,
    Link,
    MakeDirectory,
    Open,
    RemoveDirectory,
    Rename,
    Symlink,
    Unlink,
    Write,
)
from durability.trace.trace import Trace


def states_without_sync(trace: Trace) -> Iterator[tuple[int, Content]]:
    """Yield states, each behind how many records of the run the cut comes.

    None, where no sync failed, where it had nothing to write, or where the cache does not show it
    either. A file's sync that failed is believed ever after. One that was held is not: a later one
    of the same file writes it all.
    """
    records = trace.records
    at = next((at for at, record in enumerate(records) if isinstance(record, Failed)), len(records))
    failed = records[at] if at < len(records) else None
    if not isinstance(failed, Failed) or not failed.failure.startswith("sync"):
        return
    lost: _LostPages | _LostNames
    if failed.file is None:
        lost = _LostNames(trace, at)
    elif failed.failure == "sync-eio-reverted":
        return
    else:
        is_believed = failed.failure != "sync-stalled"
        lost = _LostPages(trace, at, failed.file, is_believed=is_believed)
    for end in range(at + 1, len(records)):
        if not lost.is_anything:
            return
        if lost.is_saved_by(records[end]):
            yield end, lost.content()
        lost.apply(records[end])
    if lost.is_anything:
        yield len(records), lost.content()


class _LostNames:
    """Changes of names that are in the cache and not on disk."""

    def __init__(self, trace: Trace, at: int) -> None:
        before = trace.records[:at]
        synced = max((i + 1 for i, record in enumerate(before) if is_sync(record)), default=0)
        since = before[synced:]
        kept = synced + len(list(takewhile(lambda record: not _changes_names(record), since)))
        self._content = Content.of(Trace(trace.initial, before[:kept]).tree())
        self.is_anything = kept < at

    def is_saved_by(self, record: AnyRecord) -> bool:
        """Tell whether a record is a sync."""
        return is_sync(record)

    def apply(self, record: AnyRecord) -> None:
        """Go on by one record."""
        self.is_anything = self.is_anything and not is_sync(record)

    def content(self) -> Content:
        """Return what is on disk if the power is cut now."""
        return self._content


class _LostPages:
    """One file's pages that are in the cache and not on disk."""

    def __init__(self, trace: Trace, at: int, file: int, *, is_believed: bool) -> None:
        self._file = file
        self._is_believed = is_believed
        self._tree = Trace(trace.initial, trace.records[:at]).tree()
        self._durable = durable_content(trace.initial, trace.records[:at], file)
        self._grown_to = len(self._durable)
        cached = self._tree.contents[file]
        self._pages = {
            page
            for page in range(-(-max(len(cached), len(self._durable)) // PAGE_BYTES))
            if _page(cached, page) != _page(self._durable, page)
        }

    @property
    def is_anything(self) -> bool:
        """Whether any are left."""
        return bool(self._pages)

    def is_saved_by(self, record: AnyRecord) -> bool:
        """Tell whether a record writes lost pages again, all of what they hold."""
        return self._is_synced_by(record) or bool(self._pages & self._written(record))

    def apply(self, record: AnyRecord) -> None:
        """Go on by one record."""
        if self._is_synced_by(record):
            self._pages.clear()
        self._tree.apply(record)
        written = self._written(record)
        self._pages -= written
        if written:
            size = len(self._tree.contents[self._file])
            self._grown_to = max(self._grown_to, min((max(written) + 1) * PAGE_BYTES, size))
        if isinstance(record, Open) and record.file == self._file and record.flags & os.O_TRUNC:
            self._pages.clear()

    def content(self) -> Content:
        """Return what is on disk if the power is cut now."""
        cached = self._tree.contents[self._file]
        left = bytearray(cached)
        for page in self._pages:
            start, end = page * PAGE_BYTES, min((page + 1) * PAGE_BYTES, len(left))
            if start < end:
                old = _page(self._durable, page)[: end - start]
                left[start:end] = old + bytes(end - start - len(old))
        del left[self._grown_to :]  # the size goes to disk with the data that needs it
        return Content.of(self._tree, {self._file: bytes(left)})

    def _is_synced_by(self, record: AnyRecord) -> bool:
        return not self._is_believed and syncs(record, self._file, self._tree)

    def _written(self, record: AnyRecord) -> set[int]:
        if not isinstance(record, Write) or record.file != self._file or not record.data:
            return set()
        end = record.offset + len(record.data)
        return set(range(record.offset // PAGE_BYTES, -(-end // PAGE_BYTES)))


def _changes_names(record: AnyRecord) -> bool:
    if isinstance(record, Open):
        return record.created and bool(record.path)
    return isinstance(record, Rename | Link | Symlink | Unlink | MakeDirectory | RemoveDirectory)


def _page(content: bytes | bytearray, page: int) -> bytes:
    return bytes(content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES])
