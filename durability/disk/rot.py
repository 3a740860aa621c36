"""Rot: what is at rest after a run, damaged in one place.

A bit is flipped; a sector shows what it held before it was written again; two blocks have changed
places; a block of one file was written into another, or, of the only one, to a wrong place. Blocks
are sectors and pages.
"""

import random
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from typing import Final, NamedTuple

from durability.crash.content import Content
from durability.trace.durable import is_sync
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.records import shown
from durability.trace.trace import Trace
from durability.trace.tree import Tree

SECTOR_BYTES: Final = 512
_STRETCH_BYTES: Final = 64
"""One bit is flipped in each of so many bytes."""
_VERSIONS_MAX: Final = 3
"""So many older versions of a sector are tried, the latest first."""


class Patch(NamedTuple):
    """A file's bytes from `offset` on became `data`."""

    offset: int
    data: bytes


class Damage(NamedTuple):
    """What became of a file: one patch, or two that do not overlap; `how` says so in words."""

    path: bytes
    patches: tuple[Patch, ...]
    how: str

    def of(self, content: Content) -> Content:
        """Return a content so damaged."""
        files = dict(content.files)
        whole = bytearray(files[self.path])
        for offset, data in self.patches:
            whole[offset : offset + len(data)] = data
        files[self.path] = bytes(whole)
        return Content(files, content.links, content.directories)

    def changes(self, whole: bytes) -> bool:
        """Tell whether it is a change of what the file holds."""
        return any(whole[at : at + len(data)] != data for at, data in self.patches)

    def __str__(self) -> str:
        return f"{shown(self.path)} at {self.patches[0].offset}: {self.how}"


class AtRest:
    """What a run had on disk at its last sync, but for the files that recovery does not trust.

    `trace` is the run until then, and what it had printed by that sync.
    """

    def __init__(self, trace: Trace, volatile: Container[bytes], seed: int) -> None:
        syncs = [at for at, record in enumerate(trace.records) if is_sync(record)]
        self.trace = Trace(trace.initial, trace.records[: syncs[-1] + 1] if syncs else [])
        self._tree = self.trace.tree()
        self.content = Content.of(self._tree)
        self._files = {
            path: data
            for path, data in sorted(self.content.files.items())
            if data and path not in volatile
        }
        self._chance = random.Random(seed)

    def damages(self, fault: str) -> list[Damage]:
        """Return the places that one of the faults has, each a change."""
        made = {
            "flipped": self._flipped,
            "stale": self._stale,
            "swapped": self._swapped,
            "misdirected": self._misdirected,
        }[fault]()
        return [damage for damage in made if damage.changes(self._files[damage.path])]

    def _flipped(self) -> Iterator[Damage]:
        for path, data in self._files.items():
            for start in range(0, len(data), _STRETCH_BYTES):
                at = self._chance.randrange(start, min(start + _STRETCH_BYTES, len(data)))
                bit = self._chance.randrange(8)
                flipped = bytes([data[at] ^ 1 << bit])
                yield Damage(path, (Patch(at, flipped),), f"bit {bit} is flipped")

    def _stale(self) -> Iterator[Damage]:
        versions = self._versions()
        for path, data in self._files.items():
            file = self._tree.files[path]
            for sector in range(-(-len(data) // SECTOR_BYTES)):
                now = _block(data, sector, SECTOR_BYTES)
                older = [old for old in versions[file, sector] if old[: len(now)] != now]
                for old in older[-_VERSIONS_MAX:]:
                    patch = Patch(sector * SECTOR_BYTES, old[: len(now)])
                    yield Damage(path, (patch,), "an older sector")

    def _versions(self) -> Mapping[tuple[int, int], list[bytes]]:
        """Return what each sector of each file has held, padded with zeros, as of each sync."""
        versions: defaultdict[tuple[int, int], list[bytes]] = defaultdict(list)
        tree = Tree(self.trace.initial)
        for record in self.trace.records:
            tree.apply(record)
            if is_sync(record):
                for file in tree.files.values():
                    data = bytes(tree.contents[file])
                    for sector in range(-(-len(data) // SECTOR_BYTES)):
                        block = _block(data, sector, SECTOR_BYTES)
                        held = versions[file, sector]
                        padded = block + bytes(SECTOR_BYTES - len(block))
                        if not held or held[-1] != padded:
                            held.append(padded)
        return versions

    def _swapped(self) -> Iterator[Damage]:
        for size in (SECTOR_BYTES, PAGE_BYTES):
            for path, data in self._files.items():
                blocks = len(data) // size  # whole ones only: a file keeps its length
                for first in range(blocks - 1):
                    other = self._chance.randrange(first + 1, blocks)
                    for second in sorted({first + 1, other}):
                        patches = (
                            Patch(first * size, _block(data, second, size)),
                            Patch(second * size, _block(data, first, size)),
                        )
                        how = f"blocks {first} and {second} of {size} bytes changed places"
                        yield Damage(path, patches, how)

    def _misdirected(self) -> Iterator[Damage]:
        for size in (SECTOR_BYTES, PAGE_BYTES):
            for path, data in self._files.items():
                others = [other for other in self._files if other != path] or [path]
                for block in range(-(-len(data) // size)):
                    source = self._chance.choice(others)
                    number = self._chance.randrange(-(-len(self._files[source]) // size))
                    written = _block(self._files[source], number, size)
                    written = written[: len(data) - block * size]
                    how = f"block {number} of {shown(source)} was written there"
                    yield Damage(path, (Patch(block * size, written),), how)


def _block(data: bytes, number: int, size: int) -> bytes:
    return data[number * size : (number + 1) * size]
