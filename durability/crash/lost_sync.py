"""What a power cut leaves where a sync failed or never ended: everything but what it was to write.

All else that the run had issued by then is there, as write-back may have it at any time; so nothing
but the lost sync can be to blame.

Whatever the run changes later may make up for the loss, or take away what shows it: a checkpoint
that no longer needs the log, the end of a rollback journal. So the power is cut before each change,
for as long as anything is missing.

Of a file, what is lost is lost by pages. Where a later write goes to such a page, the kernel writes
all of it, and what the page lost is saved with it. Where the cache went back to what is on disk, no
later write brings back what it forgot. Of a directory, the changes of names since the last sync of
anything are lost. File systems log them in order, so all that came behind the first of them is lost
with it; the next sync of anything saves them, as nothing counts as clean that is not in the log.
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
    Open,
    Truncate,
    Write,
    is_change,
    names_changed,
)
from durability.trace.trace import Trace
from durability.trace.tree import Tree


def states_without_sync(trace: Trace) -> Iterator[tuple[int, Content]]:
    """Yield states, each behind how many records of the run the cut comes.

    None, where no sync failed, or where it had nothing to write. A file's sync that failed is
    believed ever after. One that was held is not: a later one of the same file writes it all.
    """
    records = trace.records
    at = next((at for at, record in enumerate(records) if isinstance(record, Failed)), len(records))
    failed = records[at] if at < len(records) else None
    if not isinstance(failed, Failed) or not failed.failure.startswith("sync"):
        return
    start = at + 1
    lost: _LostNames | _LostPages | _LostCache
    if failed.file is None:
        lost = _LostNames(trace, at)
    elif failed.failure == "sync-eio-reverted":
        lost = _LostCache(trace, at, failed.file)
        start += lost.reverting
    else:
        is_believed = failed.failure != "sync-stalled"
        lost = _LostPages(trace, at, failed.file, is_believed=is_believed)
    for end in range(start, len(records)):
        if lost.is_anything and lost.is_cut_before(records[end]):
            yield end, lost.content()
        lost.apply(records[end])
    if lost.is_anything and lost.differs_from_cache:
        yield len(records), lost.content()


class _LostNames:
    """Changes of names that are in the cache and not on disk."""

    differs_from_cache = True

    def __init__(self, trace: Trace, at: int) -> None:
        before = trace.records[:at]
        synced = max((i + 1 for i, record in enumerate(before) if is_sync(record)), default=0)
        since = before[synced:]
        kept = synced + len(list(takewhile(lambda record: not names_changed(record), since)))
        self._content = Content.of(Trace(trace.initial, before[:kept]).tree())
        self.is_anything = kept < at

    def is_cut_before(self, record: AnyRecord) -> bool:
        """Tell whether a record is a sync: until then the disk stays as it is."""
        return is_sync(record)

    def apply(self, record: AnyRecord) -> None:
        """Go on by one record."""
        self.is_anything = self.is_anything and not is_sync(record)

    def content(self) -> Content:
        """Return what is on disk if the power is cut now."""
        return self._content


class _LostPages:
    """One file's pages that are in the cache and not on disk."""

    differs_from_cache = True

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
        """Whether any are left, of a file that has a name."""
        return bool(self._pages) and self._file in self._tree.files.values()

    def is_cut_before(self, record: AnyRecord) -> bool:
        """Tell whether a record changes anything, or writes the lost pages."""
        return self._is_synced_by(record) or _changes(record)

    def apply(self, record: AnyRecord) -> None:
        """Go on by one record."""
        if self._is_synced_by(record):
            self._pages.clear()
        if (kept := _cut_to(record, self._file, self._tree)) is not None:
            # What is cut off has no pages, and the rest of the page that is cut is written again.
            self._pages = {page for page in self._pages if page < kept // PAGE_BYTES}
        self._tree.apply(record)
        written = self._written(record)
        self._pages -= written
        if written:
            size = len(self._tree.contents[self._file])
            self._grown_to = max(self._grown_to, min((max(written) + 1) * PAGE_BYTES, size))

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


class _LostCache:
    """One file that the cache shows as it was before: what it had lost since, it has forgotten."""

    differs_from_cache = False
    """So at the end of a run a power cut leaves no more than a restart shows."""

    def __init__(self, trace: Trace, at: int, file: int) -> None:
        self._file = file
        durable = durable_content(trace.initial, trace.records[:at], file)
        self.reverting = 1 + bool(durable)
        """How many records behind the failure cut the file and write it as it was."""
        before = Trace(trace.initial, trace.records[:at]).tree()
        self._is_missing = before.contents[file] != durable
        self._tree = Trace(trace.initial, trace.records[: at + 1 + self.reverting]).tree()

    @property
    def is_anything(self) -> bool:
        """Whether a file that has a name may still lack what it forgot."""
        return self._is_missing and self._file in self._tree.files.values()

    def is_cut_before(self, record: AnyRecord) -> bool:
        """Tell whether a record changes anything."""
        return _changes(record)

    def apply(self, record: AnyRecord) -> None:
        """Go on by one record."""
        self._is_missing &= _cut_to(record, self._file, self._tree) != 0
        self._tree.apply(record)

    def content(self) -> Content:
        """Return what is on disk if the power is cut now."""
        return Content.of(self._tree)


def _changes(record: AnyRecord) -> bool:
    return isinstance(record, Write) or is_change(record)


def _cut_to(record: AnyRecord, file: int, tree: Tree) -> int | None:
    """Return to which size a record cuts a file of a tree; None where it does not."""
    if isinstance(record, Open) and record.file == file and record.flags & os.O_TRUNC:
        return 0
    if isinstance(record, Truncate) and record.file == file:
        return record.size if record.size < len(tree.contents[file]) else None
    return None


def _page(content: bytes | bytearray, page: int) -> bytes:
    return bytes(content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES])
