"""Short random runs, as the records that a trace of them would hold.

Every write has a letter of its own, so that what is found on a disk says where it came from.
"""

import os
import random
from collections.abc import Callable, Iterator
from typing import Final

from durability.trace.kill_order import PAGE_BYTES
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
from durability.trace.tree import Tree

_THREAD: Final = 1
_NAMES: Final = (b"a", b"b", b"c", b"d/a", b"d/b", b"e/a")
_DIRECTORIES: Final = (b"d", b"e", b"d/f")
_OFFSETS: Final = (0, 100, PAGE_BYTES - 50, PAGE_BYTES, 2 * PAGE_BYTES, 2 * PAGE_BYTES + 700)
_LENGTHS: Final = (1, 30, 100, 1000, PAGE_BYTES, PAGE_BYTES + 100, 3 * PAGE_BYTES)
_SIZES: Final = (0, 0, 10, 150, PAGE_BYTES, PAGE_BYTES + 10, 3 * PAGE_BYTES)
_COLLAPSE_RANGE: Final = 0x08
_INSERT_RANGE: Final = 0x20
_MODES: Final = (0, 0x01, 0x03, 0x10, 0x11, _COLLAPSE_RANGE, _INSERT_RANGE)
_WRITE_FLAGS: Final = (0, os.RWF_DSYNC, os.RWF_DSYNC | os.RWF_SYNC)
_WRITE_FLAG_WEIGHTS: Final = (20, 1, 1)
_LETTERS: Final = bytes(range(ord("A"), ord("Z") + 1)) + bytes(range(ord("a"), ord("z") + 1))
_DATA_ONLY_SHARE: Final = 0.4
_EXCHANGED_SHARE: Final = 0.2


class Workload:
    """Draws records, each of which is possible after those before it."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._tree = Tree()
        self._files = 0
        self._letter = 0
        self._named: set[int] = set()
        self._draws: tuple[tuple[int, Callable[[], AnyRecord | None]], ...] = (
            (6, self._create),
            (1, self._open_again),
            (1, self._create_unnamed),
            (10, self._append),
            (5, self._overwrite),
            (3, self._truncate),
            (2, self._allocate),
            (6, self._rename),
            (2, self._link),
            (1, self._symlink),
            (3, self._unlink),
            (2, self._make_directory),
            (1, self._remove_directory),
            (5, self._sync_file),
            (3, self._sync_directory),
            (1, self._sync_all),
        )

    def records(self, count: int) -> Iterator[AnyRecord]:
        """Yield so many records."""
        weights = [weight for weight, _ in self._draws]
        while count:
            _, draw = self._chance.choices(self._draws, weights)[0]
            record = draw()
            if record is not None:
                self._tree.apply(record)
                self._named.update(self._tree.files.values())
                count -= 1
                yield record

    # Files

    def _create(self) -> AnyRecord | None:
        path = self._free_path()
        if path is None:
            return None
        return Open(_THREAD, self._new_file(), path, os.O_CREAT | os.O_WRONLY, created=True)

    def _create_unnamed(self) -> AnyRecord | None:
        flags = os.O_TMPFILE | os.O_WRONLY
        return Open(_THREAD, self._new_file(), b"", flags, created=True)

    def _open_again(self) -> AnyRecord | None:
        path = self._path()
        if path is None:
            return None
        flags = os.O_WRONLY | os.O_TRUNC
        return Open(_THREAD, self._tree.files[path], path, flags, created=False)

    def _new_file(self) -> int:
        self._files += 1
        return self._files

    def _append(self) -> AnyRecord | None:
        file = self._file()
        return None if file is None else self._write(file, len(self._tree.contents[file]))

    def _overwrite(self) -> AnyRecord | None:
        file = self._file()
        return None if file is None else self._write(file, self._chance.choice(_OFFSETS))

    def _write(self, file: int, offset: int) -> Write:
        self._letter += 1
        length = self._chance.choice(_LENGTHS)
        data = bytes([_LETTERS[self._letter % len(_LETTERS)]]) * length
        flags = self._chance.choices(_WRITE_FLAGS, _WRITE_FLAG_WEIGHTS)[0]
        return Write(_THREAD, file, self._name_of(file), offset, data, length, flags=flags)

    def _truncate(self) -> AnyRecord | None:
        file = self._file()
        if file is None:
            return None
        return Truncate(_THREAD, file, self._name_of(file), self._chance.choice(_SIZES))

    def _allocate(self) -> AnyRecord | None:
        file = self._file()
        if file is None:
            return None
        mode = self._chance.choice(_MODES)
        size = len(self._tree.contents[file])
        shifts = mode & (_COLLAPSE_RANGE | _INSERT_RANGE)
        pages = self._chance.randint(0, 2), self._chance.randint(1, 2)
        offset, length = (number * PAGE_BYTES for number in pages)
        if shifts and (offset >= size or (mode == _COLLAPSE_RANGE and offset + length >= size)):
            return None  # the kernel would refuse
        if not shifts:
            offset += self._chance.choice((0, 0, 100))
        return Allocate(_THREAD, file, self._name_of(file), mode, offset, length)

    # Names

    def _rename(self) -> AnyRecord | None:
        source, destination = self._path(), self._chance.choice(self._possible_paths())
        if source is None or self._tree.files.get(destination) == self._tree.files[source]:
            return None
        exchange = destination in self._tree.files and self._chance.random() < _EXCHANGED_SHARE
        return Rename(_THREAD, source, destination, exchange)

    def _link(self) -> AnyRecord | None:
        file, path = self._file(), self._free_path()
        if file is None or path is None or file in self._removed():
            return None
        return Link(_THREAD, file, path)

    def _symlink(self) -> AnyRecord | None:
        path = self._free_path()
        return None if path is None else Symlink(_THREAD, path, b"elsewhere")

    def _unlink(self) -> AnyRecord | None:
        path = self._path()
        return None if path is None else Unlink(_THREAD, path)

    def _make_directory(self) -> AnyRecord | None:
        free = [
            path
            for path in _DIRECTORIES
            if path not in self._tree.directories and self._has_parent(path)
        ]
        return MakeDirectory(_THREAD, self._chance.choice(free)) if free else None

    def _remove_directory(self) -> AnyRecord | None:
        names = {*self._tree.files, *self._tree.links, *self._tree.directories}
        empty = [
            path
            for path in sorted(self._tree.directories)
            if not any(name.startswith(path + b"/") for name in names)
        ]
        return RemoveDirectory(_THREAD, self._chance.choice(empty)) if empty else None

    # Durability

    def _sync_file(self) -> AnyRecord | None:
        file = self._file()
        if file is None:
            return None
        data_only = self._chance.random() < _DATA_ONLY_SHARE
        return Sync(_THREAD, self._name_of(file), data_only, file)

    def _sync_directory(self) -> AnyRecord | None:
        path = self._chance.choice([b"", *sorted(self._tree.directories)])
        return Sync(_THREAD, path, self._chance.random() < _DATA_ONLY_SHARE)

    def _sync_all(self) -> AnyRecord | None:
        return SyncAll(_THREAD)

    # What there is

    def _file(self) -> int | None:
        """Draw a file, which may have lost its name."""
        return self._chance.randint(1, self._files) if self._files else None

    def _name_of(self, file: int) -> bytes:
        return next((path for path, found in self._tree.files.items() if found == file), b"")

    def _removed(self) -> set[int]:
        """Return the files that had a name and have none: they cannot be linked again."""
        return self._named - set(self._tree.files.values())

    def _path(self) -> bytes | None:
        return self._chance.choice(sorted(self._tree.files)) if self._tree.files else None

    def _free_path(self) -> bytes | None:
        taken = self._tree.files.keys() | self._tree.links.keys()
        free = [path for path in self._possible_paths() if path not in taken]
        return self._chance.choice(free) if free else None

    def _possible_paths(self) -> list[bytes]:
        return [path for path in _NAMES if self._has_parent(path)]

    def _has_parent(self, path: bytes) -> bool:
        parent, _, _ = path.rpartition(b"/")
        return not parent or parent in self._tree.directories
