"""A drive that lies: what is on it, followed through a trace whose syncs it may acknowledge only.

The kernel believes a sync that the drive has acknowledged: what that sync was to write counts as
clean, and goes to the drive no more unless it is written again, by pages. So a later sync that the
drive keeps leaves a hole where the lost ones had written. Names are those of the last sync that it
has kept, of whatever file.
"""

import copy
import os
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from durability.crash.content import Content
from durability.trace.durable import is_sync
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.records import (
    Allocate,
    AnyRecord,
    Open,
    Output,
    Sync,
    SyncAll,
    Truncate,
    Write,
)
from durability.trace.trace import Trace
from durability.trace.tree import Tree


class Window(NamedTuple):
    """The `first`-th to the `last`-th sync of a run, from 1, persist nothing.

    The cut comes behind `end` records: within the window, or behind the next sync, which `holds`.
    """

    first: int
    last: int
    end: int
    holds: bool

    def __str__(self) -> str:
        next_one = "behind the next, which was kept" if self.holds else "before the next"
        return f"syncs {self.first} to {self.last} persisted nothing, a power cut {next_one}"


class Drive:
    """What the kernel shows, and what is on the drive."""

    def __init__(self, trace: Trace) -> None:
        self._tree = Tree(trace.initial)
        self._images = {file: bytearray(data) for file, data in self._tree.contents.items()}
        self._dirty: defaultdict[int, set[int]] = defaultdict(set)
        self._names = self._named()

    def apply(self, record: AnyRecord, *, lies: bool) -> None:
        """Go on by one record; a sync persists nothing where the drive `lies`."""
        self._tree.apply(record)
        match record:
            case Write():
                pages = _pages(record.offset, record.offset + len(record.data))
                self._dirty[record.file] |= pages
                if record.flags & os.RWF_DSYNC:
                    self._sync([record.file], lies=lies)
            case Truncate() | Allocate():
                self._dirty[record.file] |= self._all_pages(record.file)
            case Open() if record.flags & os.O_TRUNC:
                self._dirty[record.file] |= self._all_pages(record.file)
            case Sync():
                file = self._tree.files.get(record.path) if record.file is None else record.file
                self._sync([] if file is None else [file], lies=lies)
            case SyncAll():
                self._sync(list(self._dirty), lies=lies)

    def content(self) -> Content:
        """Return what is on the drive."""
        files, links, directories = self._names
        return Content(
            {path: bytes(self._images.get(file, b"")) for path, file in files.items()},
            links,
            directories,
        )

    def _sync(self, files: list[int], *, lies: bool) -> None:
        for file in files:
            pages = self._dirty.pop(file, set())
            if not lies:
                self._write(file, pages)
        if not lies:
            self._names = self._named()

    def _write(self, file: int, pages: set[int]) -> None:
        cached, image = self._tree.contents[file], self._images.setdefault(file, bytearray())
        image.extend(bytes(max(0, len(cached) - len(image))))
        del image[len(cached) :]
        for page in pages:
            start, end = page * PAGE_BYTES, min((page + 1) * PAGE_BYTES, len(cached))
            image[start:end] = cached[start:end]

    def _named(self) -> tuple[dict[bytes, int], dict[bytes, bytes], frozenset[bytes]]:
        return dict(self._tree.files), dict(self._tree.links), frozenset(self._tree.directories)

    def _all_pages(self, file: int) -> set[int]:
        return _pages(0, max(len(self._tree.contents[file]), len(self._images.get(file, b""))))


def windows(trace: Trace) -> Iterator[Window]:
    """Yield windows of a run: from each sync on, of 1, 2, 4, ... syncs, and to the end."""
    places = [at for at, record in enumerate(trace.records) if is_sync(record)]
    for first in range(1, len(places) + 1):
        length = 1
        while first + length <= len(places):
            last = first + length - 1
            # Behind the sync comes what was printed on the strength of it.
            yield Window(first, last, _behind(trace, places[last]), holds=True)
            length *= 2
        yield Window(first, len(places), len(trace.records), holds=False)


def states(trace: Trace, chosen: list[Window]) -> Iterator[tuple[Window, Content]]:
    """Yield what is on the drive after each of the windows, which begin in ascending order."""
    drive = Drive(trace)
    done = syncs = 0
    for window in sorted(chosen):
        while not (is_sync(trace.records[done]) and syncs + 1 == window.first):
            syncs += is_sync(trace.records[done])
            drive.apply(trace.records[done], lies=False)
            done += 1
        yield window, _lied(trace, copy.deepcopy(drive), window, done, syncs)


def _lied(trace: Trace, drive: Drive, window: Window, done: int, syncs: int) -> Content:
    for record in trace.records[done : window.end]:
        syncs += is_sync(record)
        drive.apply(record, lies=window.first <= syncs <= window.last)
    return drive.content()


def _behind(trace: Trace, sync: int) -> int:
    """Return how many records there are up to the next that is a change, behind a sync."""
    end = sync + 1
    while end < len(trace.records) and isinstance(trace.records[end], Output):
        end += 1
    return end


def _pages(start: int, end: int) -> set[int]:
    return set(range(start // PAGE_BYTES, -(-end // PAGE_BYTES)))
