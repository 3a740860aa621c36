"""What a power cut leaves where a sync failed or never ended: everything but what it was to write.

All else that the run had issued by then is there, as write-back may have it at any time; so nothing
but the lost sync can be to blame. What is lost is lost by pages. Where a later write goes to such a
page, the kernel writes all of it, and what the page lost is saved with it; so a cut is looked at
before that, too.
"""

import os
from collections.abc import Iterator

from durability.crash.content import Content
from durability.trace.durable import durable_content, syncs
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.records import AnyRecord, Failed, Open, Write
from durability.trace.trace import Trace


def states_without_sync(trace: Trace) -> Iterator[tuple[int, Content]]:
    """Yield states, each behind how many records of the run the cut comes.

    None, where no sync of a file failed, where it had nothing to write, or where the cache does not
    show it either. A sync that failed is believed ever after. One that was held is not: a later one
    of the same file writes it all.
    """
    records = trace.records
    at = next((at for at, record in enumerate(records) if isinstance(record, Failed)), len(records))
    failed = records[at] if at < len(records) else None
    if not isinstance(failed, Failed) or failed.file is None:
        return
    if failed.failure == "sync-eio-reverted":
        return
    is_believed = failed.failure != "sync-stalled"
    lost = _LostSync(trace, at, failed.file, is_believed=is_believed)
    for end in range(at + 1, len(records)):
        if lost.is_saved_by(records[end]):
            yield end, lost.content()
        lost.apply(records[end])
        if not lost.pages:
            return
    if lost.pages:
        yield len(records), lost.content()


class _LostSync:
    """One file's pages that are in the cache and not on disk."""

    def __init__(self, trace: Trace, at: int, file: int, *, is_believed: bool) -> None:
        self._file = file
        self._is_believed = is_believed
        self._tree = Trace(trace.initial, trace.records[:at]).tree()
        self._durable = durable_content(trace.initial, trace.records[:at], file)
        self._grown_to = len(self._durable)
        cached = self._tree.contents[file]
        self.pages = {
            page
            for page in range(-(-max(len(cached), len(self._durable)) // PAGE_BYTES))
            if _page(cached, page) != _page(self._durable, page)
        }

    def is_saved_by(self, record: AnyRecord) -> bool:
        """Tell whether a record writes lost pages again, all of what they hold."""
        synced = not self._is_believed and syncs(record, self._file, self._tree)
        return synced or bool(self.pages & self._written(record))

    def apply(self, record: AnyRecord) -> None:
        """Go on by one record."""
        if not self._is_believed and syncs(record, self._file, self._tree):
            self.pages.clear()
        self._tree.apply(record)
        self.pages -= self._written(record)
        if isinstance(record, Write) and record.file == self._file:
            self._grown_to = max(self._grown_to, record.offset + len(record.data))
        if isinstance(record, Open) and record.file == self._file and record.flags & os.O_TRUNC:
            self.pages.clear()

    def content(self) -> Content:
        """Return what is on disk if the power is cut now."""
        cached = self._tree.contents[self._file]
        left = bytearray(cached)
        for page in self.pages:
            start, end = page * PAGE_BYTES, min((page + 1) * PAGE_BYTES, len(left))
            if start < end:
                old = _page(self._durable, page)[: end - start]
                left[start:end] = old + bytes(end - start - len(old))
        del left[self._grown_to :]  # the size goes to disk with the data that needs it
        return Content.of(self._tree, {self._file: bytes(left)})

    def _written(self, record: AnyRecord) -> set[int]:
        if not isinstance(record, Write) or record.file != self._file or not record.data:
            return set()
        end = record.offset + len(record.data)
        return set(range(record.offset // PAGE_BYTES, -(-end // PAGE_BYTES)))


def _page(content: bytes | bytearray, page: int) -> bytes:
    return bytes(content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES])
