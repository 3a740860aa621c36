"""What a trace is made of: one record for each change of the watched tree, in execution order.

Paths are bytes relative to the watched root (`b""` is the root itself). `file` numbers an inode: it
is drawn from a counter when the supervisor first meets the inode, so it never repeats, as inode
numbers do. Only calls that succeeded are recorded; `thread` is the kernel's id of the caller.

Not recorded, because neither a kill nor a recovery distinguishes them: reads, permissions, owners,
times, extended attributes.
"""

import os
from typing import Annotated, Final

import msgspec

from durability.trace.failure import Failure

Unsigned = Annotated[int, msgspec.Meta(ge=0)]


def shown(text: bytes) -> str:
    """Return a path or output as text; what is not UTF-8 is escaped."""
    return text.decode("utf-8", "backslashreplace")


class Record(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The root of all records; on disk each is an array that begins with its type's name."""


class Open(Record, frozen=True):
    """A file was opened for writing; `flags` are open(2)'s, O_SYNC and O_DSYNC among them."""

    thread: int
    file: int
    path: bytes
    flags: int
    created: bool

    def __str__(self) -> str:
        made = " created" if self.created else ""
        cut = " truncated" if self.flags & os.O_TRUNC else ""
        return f"open {shown(self.path) or 'unnamed'}{made}{cut}"


class Write(Record, frozen=True):
    """Bytes went into a file at an absolute offset; `asked` is the length the caller wanted.

    `torn` marks the write that the kill cut short. `flags` are pwritev2(2)'s; those of a file that
    was opened with O_SYNC or O_DSYNC have RWF_SYNC or RWF_DSYNC among them.
    """

    thread: int
    file: int
    path: bytes
    offset: Unsigned
    data: bytes
    asked: Unsigned
    torn: bool = False
    flags: int = 0

    def __str__(self) -> str:
        torn = f", torn from {self.asked}" if self.torn else ""
        return f"write {shown(self.path)} at {self.offset}: {len(self.data)} bytes{torn}"


class Truncate(Record, frozen=True):
    """A file's size was set."""

    thread: int
    file: int
    path: bytes
    size: Unsigned

    def __str__(self) -> str:
        return f"truncate {shown(self.path)} to {self.size} bytes"


class Allocate(Record, frozen=True):
    """fallocate(2) on a file: blocks were reserved, punched out, zeroed or shifted."""

    thread: int
    file: int
    path: bytes
    mode: int
    offset: Unsigned
    length: Unsigned

    def __str__(self) -> str:
        extent = f"{self.length} bytes at {self.offset}, mode {self.mode}"
        return f"fallocate {shown(self.path)}: {extent}"


class Rename(Record, frozen=True):
    """A name moved, replacing what stood at the destination; `exchange` swaps the two instead."""

    thread: int
    source: bytes
    destination: bytes
    exchange: bool = False

    def __str__(self) -> str:
        arrow = "<->" if self.exchange else "->"
        return f"rename {shown(self.source)} {arrow} {shown(self.destination)}"


class Link(Record, frozen=True):
    """A further name for an inode."""

    thread: int
    file: int
    path: bytes

    def __str__(self) -> str:
        return f"link {shown(self.path)} to file {self.file}"


class Symlink(Record, frozen=True):
    """A symbolic link with its content."""

    thread: int
    path: bytes
    content: bytes

    def __str__(self) -> str:
        return f"symlink {shown(self.path)} -> {shown(self.content)}"


class Unlink(Record, frozen=True):
    """A name was removed."""

    thread: int
    path: bytes

    def __str__(self) -> str:
        return f"unlink {shown(self.path)}"


class MakeDirectory(Record, frozen=True):
    """A directory was created."""

    thread: int
    path: bytes

    def __str__(self) -> str:
        return f"mkdir {shown(self.path)}"


class RemoveDirectory(Record, frozen=True):
    """An empty directory was removed."""

    thread: int
    path: bytes

    def __str__(self) -> str:
        return f"rmdir {shown(self.path)}"


class Sync(Record, frozen=True):
    """fsync(2) of a file or directory, or fdatasync(2) where `data_only`.

    `file` tells which file, where it was opened for writing: it may have lost its path since.
    """

    thread: int
    path: bytes
    data_only: bool
    file: int | None = None

    def __str__(self) -> str:
        unnamed = "." if self.file is None else "unnamed"
        return f"{'fdatasync' if self.data_only else 'fsync'} {shown(self.path) or unnamed}"


class SyncAll(Record, frozen=True):
    """sync(2), or syncfs(2) on the watched tree's file system."""

    thread: int

    def __str__(self) -> str:
        return "sync"


class Output(Record, frozen=True):
    """Bytes the target had written to its standard output before the next record's call ran.

    The supervisor reads them before it performs that call, so an acknowledgement stands late at
    worst, never early.
    """

    data: bytes

    def __str__(self) -> str:
        return f"printed {shown(self.data)!r}"


class Untraceable(Record, frozen=True):
    """A way to change `path` that no later record shows, such as a shared writable mapping."""

    thread: int
    call: str
    path: bytes

    def __str__(self) -> str:
        return f"NOT SEEN {self.call} of {shown(self.path)}"


class Refused(Record, frozen=True):
    """An interface that was answered with ENOSYS so that the target falls back to another one."""

    thread: int
    call: str

    def __str__(self) -> str:
        return f"refused {self.call}"


class Failed(Record, frozen=True):
    """The disk failed a call, by order: `failure` says how, as in `trace.failure`.

    `file` tells which file was to be synced, as in `Sync`.
    """

    thread: int
    call: str
    path: bytes
    failure: Failure
    file: int | None = None

    def __str__(self) -> str:
        return f"FAILED {self.call} of {shown(self.path) or '.'}: {self.failure}"


class Kill(Record, frozen=True):
    """SIGKILL was sent, `offset` bytes into the write stream and `calls` changes of names later."""

    offset: Unsigned
    calls: Unsigned
    torn: bool

    def __str__(self) -> str:
        return f"KILL {'inside a write' if self.torn else 'between two calls'}"


AnyRecord = (
    Open
    | Write
    | Truncate
    | Allocate
    | Rename
    | Link
    | Symlink
    | Unlink
    | MakeDirectory
    | RemoveDirectory
    | Sync
    | SyncAll
    | Output
    | Untraceable
    | Refused
    | Failed
    | Kill
)

_CHANGES: Final = (
    Truncate,
    Allocate,
    Rename,
    Link,
    Symlink,
    Unlink,
    MakeDirectory,
    RemoveDirectory,
)


def is_change(record: AnyRecord) -> bool:
    """Tell whether a record changed names or sizes, other than by a write: what `calls` count."""
    if isinstance(record, Open):
        return record.created or bool(record.flags & os.O_TRUNC)
    return isinstance(record, _CHANGES)


def names_changed(record: AnyRecord) -> tuple[bytes, ...]:
    """Return the paths at which a record made or removed a name."""
    match record:
        case Open(path=path, created=True) if path:
            return (path,)
        case Rename(source=source, destination=destination):
            return (source, destination)
        case Link() | Symlink() | Unlink() | MakeDirectory() | RemoveDirectory():
            return (record.path,)
    return ()
