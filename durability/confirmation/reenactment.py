"""A traced run as the calls that perform it again, on a directory of its own.

A trace tells when a file was opened, not when it was closed, and some file systems begin to write
what was replaced when it is closed. So a file is closed here as soon as it can have been: behind
its last use before it is opened again, or behind the last of all. What is lost all the same is not
lost for want of a close.
"""

import os
from typing import Final

import msgspec

from durability.crash.validation.performance import Performance
from durability.crash.validation.script import Step, WriteBack
from durability.trace.records import (
    Allocate,
    AnyRecord,
    Kill,
    Link,
    Open,
    Output,
    Refused,
    Sync,
    Truncate,
    Untraceable,
    Write,
)
from durability.trace.trace import Trace
from durability.trace.tree import Tree

_THREAD: Final = 0
_KEPT_FLAGS: Final = os.O_CREAT | os.O_TRUNC | os.O_TMPFILE
_NO_CALLS: Final = Output | Untraceable | Refused | Kill


class Close(msgspec.Struct, frozen=True):
    """A file is closed."""

    file: int


Act = Step | Close


class Reenactment:
    """The calls of a run; `calls` has for each record of its trace those that perform it."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._tree = Tree(trace.initial)
        self._last_use: dict[int, int] = {}
        self._direct: set[int] = set()
        self.calls: list[list[Act]] = []
        for number, record in enumerate(trace.records):
            self.calls.append([*self._acts(record)])
            self._tree.apply(record)
            file = _used(record)
            if file is not None:
                self._last_use[file] = number
        for file, number in self._last_use.items():
            self.calls[number].append(Close(file))

    @property
    def room_bytes(self) -> int:
        """How much the run may take on a disk, twice."""
        records = (*self._trace.initial, *self._trace.records)
        written = sum(len(record.data) for record in records if isinstance(record, Write))
        return 2 * (written + sum(one.length for one in records if isinstance(one, Allocate)))

    def _acts(self, record: AnyRecord) -> list[Act]:
        match record:
            case Open():
                return self._open(record)
            case Sync(path=path, file=None) if path and not self._is_there(path):
                return []  # of what has no name any more nothing can be seen
            case _ if isinstance(record, _NO_CALLS):
                return []
        file = _used(record)
        acts: list[Act] = []
        if file is not None and file not in self._last_use:
            acts.append(Open(_THREAD, file, self._path_of(file), os.O_RDWR, created=False))
        acts.append(record)
        if isinstance(record, Write) and record.file in self._direct:
            acts.append(WriteBack(record.file, record.offset, len(record.data)))
        return acts

    def _open(self, record: Open) -> list[Act]:
        """Open anew what can have been closed; what has no name is open still."""
        file = record.file
        self._direct.discard(file)
        if record.flags & os.O_DIRECT:
            self._direct.add(file)
        opened = msgspec.structs.replace(record, flags=os.O_RDWR | record.flags & _KEPT_FLAGS)
        if file not in self._last_use:
            return [opened]
        if self._tree.files.get(record.path) == file:
            self.calls[self._last_use[file]].append(Close(file))
            return [opened]
        return [Truncate(_THREAD, file, record.path, 0)] if record.flags & os.O_TRUNC else []

    def _path_of(self, file: int) -> bytes:
        return next(path for path, found in self._tree.files.items() if found == file)

    def _is_there(self, path: bytes) -> bool:
        return path in self._tree.files or path in self._tree.directories


def perform(acts: list[Act], performance: Performance) -> None:
    """Perform calls, one after the other. Raises as `Performance.perform` does."""
    for act in acts:
        if isinstance(act, Close):
            performance.close(act.file)
        else:
            performance.perform(act)


def _used(record: AnyRecord) -> int | None:
    """Return the file of which a record needs a descriptor."""
    match record:
        case Open() | Write() | Truncate() | Allocate() | Link() | Sync():
            return record.file
        case _:
            return None
