"""The tree that a trace leaves, rebuilt in memory, and its comparison with a disk."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from durability.errors import MechanismError
from durability.trace.records import (
    Allocate,
    AnyRecord,
    Link,
    MakeDirectory,
    Open,
    RemoveDirectory,
    Rename,
    Symlink,
    Truncate,
    Unlink,
    Write,
    shown,
)

Value = TypeVar("Value")

FILE_BYTES_MAX: Final = 1 << 30
"""The longest file that is replayed, holes included."""

_KEEP_SIZE: Final = 0x01
_PUNCH_HOLE: Final = 0x02
_COLLAPSE_RANGE: Final = 0x08
_ZERO_RANGE: Final = 0x10
_INSERT_RANGE: Final = 0x20

_INITIAL_THREAD: Final = 0


class Tree:
    """Names and contents, relative to one root.

    `files` maps a path to the number of its inode, `contents` a number to its bytes, `links` a
    path to a symbolic link's content. FIFOs, sockets and devices are not part of it.
    """

    def __init__(self, records: Iterable[AnyRecord] = ()) -> None:
        self.files: dict[bytes, int] = {}
        self.contents: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.links: dict[bytes, bytes] = {}
        self.directories: set[bytes] = set()
        self._changes: dict[type[AnyRecord], Callable[[Any], None]] = {
            Open: self._open,
            Write: self._write,
            Truncate: self._truncate,
            Allocate: self._allocate,
            Rename: self._rename,
            Link: self._link,
            Symlink: self._symlink,
            Unlink: self._unlink,
            MakeDirectory: self._make_directory,
            RemoveDirectory: self._remove_directory,
        }
        for record in records:
            self.apply(record)

    def apply(self, record: AnyRecord) -> None:
        """Make one record's change; a record that changes nothing is passed over."""
        change = self._changes.get(type(record))
        if change is not None:
            change(record)

    def _write(self, record: Write) -> None:
        content = self.contents[record.file]
        _extend(content, record.offset)
        content[record.offset : record.offset + len(record.data)] = record.data

    def _open(self, record: Open) -> None:
        content = self.contents[record.file]
        if record.created and record.path:
            self.files[record.path] = record.file
        if record.flags & os.O_TRUNC:
            content.clear()

    def _truncate(self, record: Truncate) -> None:
        content = self.contents[record.file]
        del content[record.size :]
        _extend(content, record.size)

    def _allocate(self, record: Allocate) -> None:
        content = self.contents[record.file]
        end = record.offset + record.length
        if record.mode & _COLLAPSE_RANGE:
            del content[record.offset : end]
            return
        if record.mode & _INSERT_RANGE:
            behind = content[record.offset :]
            _extend(content, len(content) + record.length)
            content[record.offset :] = bytes(record.length) + behind
            return
        if not record.mode & _KEEP_SIZE:
            _extend(content, end)
        if record.mode & (_PUNCH_HOLE | _ZERO_RANGE):
            end = min(end, len(content))
            content[record.offset : end] = bytes(max(0, end - record.offset))

    def _link(self, record: Link) -> None:
        self.files[record.path] = record.file

    def _symlink(self, record: Symlink) -> None:
        self.links[record.path] = record.content

    def _unlink(self, record: Unlink) -> None:
        self.files.pop(record.path, None)
        self.links.pop(record.path, None)

    def _make_directory(self, record: MakeDirectory) -> None:
        self.directories.add(record.path)

    def _remove_directory(self, record: RemoveDirectory) -> None:
        self.directories.discard(record.path)

    def _rename(self, record: Rename) -> None:
        moved = self._take(record.source)
        replaced = self._take(record.destination)
        self._place(moved, record.destination)
        if record.exchange:
            self._place(replaced, record.source)

    def _take(self, path: bytes) -> "Tree":
        """Remove a name and what is below it; return that as a tree of suffixes."""
        taken = Tree()
        taken.files = _taken(self.files, path)
        taken.links = _taken(self.links, path)
        taken.directories = set(_taken(dict.fromkeys(self.directories), path))
        self.directories -= {path + suffix for suffix in taken.directories}
        return taken

    def _place(self, part: "Tree", path: bytes) -> None:
        self.files.update({path + suffix: file for suffix, file in part.files.items()})
        self.links.update({path + suffix: text for suffix, text in part.links.items()})
        self.directories.update(path + suffix for suffix in part.directories)

    def write_to(self, root: bytes) -> None:
        """Create this tree below an existing empty directory; hard links become copies."""
        for directory in sorted(self.directories):
            os.mkdir(os.path.join(root, directory))
        for path, file in self.files.items():
            with open(os.path.join(root, path), "xb") as target:
                target.write(self.contents[file])
        for path, content in self.links.items():
            os.symlink(content, os.path.join(root, path))

    def differences(self, root: bytes) -> list[str]:
        """Return in words where the disk below `root` is not this tree; nothing where it is."""
        found: list[str] = []
        files, links, directories = names_below(root)
        for kind, ours, theirs in (
            ("directory", self.directories, directories),
            ("file", self.files.keys(), files),
            ("symbolic link", self.links.keys(), links.keys()),
        ):
            for missing, where in ((ours - theirs, "on disk"), (theirs - ours, "in the trace")):
                found += [f"{kind} {shown(path)} is not {where}" for path in sorted(missing)]
        for path in sorted(self.files.keys() & files):
            found += self._content_differences(root, path)
        found += [
            f"symbolic link {shown(path)} leads elsewhere"
            for path in sorted(self.links.keys() & links.keys())
            if self.links[path] != links[path]
        ]
        return found

    def _content_differences(self, root: bytes, path: bytes) -> list[str]:
        expected = self.contents[self.files[path]]
        try:
            with open(os.path.join(root, path), "rb") as file:
                content = file.read()
        except OSError as error:
            return [f"file {shown(path)} cannot be read: {error.strerror}"]
        if content == expected:
            return []
        pairs = zip(content, expected, strict=False)
        first = next(
            (at for at, (a, b) in enumerate(pairs) if a != b), min(len(content), len(expected))
        )
        text = (
            f"file {shown(path)} is {len(content)} bytes on disk, {len(expected)} in the trace, "
            f"and differs from byte {first}"
        )
        return [text]


def _extend(content: bytearray, size: int) -> None:
    """Fill a file up with zeros to a size. Raises MechanismError where it is beyond memory."""
    if size > FILE_BYTES_MAX:
        raise MechanismError(
            f"a file of {size} bytes was made; up to {FILE_BYTES_MAX} a trace can be replayed"
        )
    if len(content) < size:
        content.extend(bytes(size - len(content)))


def _taken(names: dict[bytes, Value], path: bytes) -> dict[bytes, Value]:
    """Remove a path and what is below it; return what stood there by the rest of its path."""
    below = path + b"/"
    moving = [name for name in names if name == path or name.startswith(below)]
    return {name[len(path) :]: names.pop(name) for name in moving}


def initial_records(root: bytes, number: Callable[[os.stat_result], int]) -> list[AnyRecord]:
    """Return records that build what is below `root` now; `number` names each file's inode."""
    files, links, directories = names_below(root)
    found: list[AnyRecord] = [MakeDirectory(_INITIAL_THREAD, path) for path in sorted(directories)]
    for path in sorted(files):
        with open(os.path.join(root, path), "rb") as source:
            file = number(os.fstat(source.fileno()))
            content = source.read()
        flags = os.O_CREAT | os.O_WRONLY
        found.append(Open(_INITIAL_THREAD, file, path, flags, created=True))
        found.append(Write(_INITIAL_THREAD, file, path, 0, content, len(content)))
    found += [Symlink(_INITIAL_THREAD, path, content) for path, content in links.items()]
    return found


def names_below(root: bytes) -> tuple[set[bytes], dict[bytes, bytes], set[bytes]]:
    """Return the files, symbolic links and directories below a root, by relative path."""
    files: set[bytes] = set()
    links: dict[bytes, bytes] = {}
    directories: set[bytes] = set()
    waiting = [b""]
    while waiting:
        parent = waiting.pop()
        with os.scandir(os.path.join(root, parent) if parent else root) as entries:
            for entry in entries:
                path = os.path.join(parent, entry.name) if parent else entry.name
                if entry.is_symlink():
                    links[path] = os.readlink(entry.path)
                elif entry.is_dir():
                    directories.add(path)
                    waiting.append(path)
                elif entry.is_file():
                    files.add(path)
    return files, links, directories
