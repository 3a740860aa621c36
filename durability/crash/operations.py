"""Micro-operations: the parts of a change that a power cut can keep or lose one by one.

A write is one `Data` for each page (or sector) and one `Grow` for each page that makes the file
longer; a truncation is a `Shrink`; each change of names is a `Names`. What follows from what is not
said here but in `needs` and `after`, which a persistence model fills in:

- `needs`: without these the operation means nothing, or cannot be on disk.
- `after`: the operation before it in the file system's log, which is replayed in order.

`record` is the index, among a trace's records, of the call that an operation is a part of; `path`
is the name that the call used. An operation that `joins` the log, or changes names, is one that
those on other files may depend on; all others matter to their own file alone.
"""

from dataclasses import dataclass, field
from typing import Final

from durability.trace.kill_order import PAGE_BYTES
from durability.trace.records import shown

ROOT: Final = 0
"""The number of the watched root. Files are positive, other directories and links negative."""

_STALE_BYTE: Final = b"\xa5"


@dataclass(slots=True, eq=False, kw_only=True)
class Operation:
    """The root of all micro-operations. `durable` is set once nothing can lose it any more."""

    record: int
    path: bytes
    needs: list["Operation"] = field(default_factory=list)
    after: "Operation | None" = None
    joins: bool = False
    durable: bool = False

    def missing(self) -> "list[Operation]":
        """Return what it directly depends on and could still be lost."""
        found = [needed for needed in self.needs if not needed.durable]
        if self.after is not None and not self.after.durable:
            found.append(self.after)
        return found

    def settle(self) -> None:
        """Note that it is durable, and let go of what it needed."""
        self.durable = True
        self.needs, self.after = [], None


@dataclass(slots=True, eq=False, kw_only=True)
class FileOperation(Operation):
    """A change of a file's content or size."""

    file: int


@dataclass(slots=True, eq=False, kw_only=True)
class Data(FileOperation):
    """Bytes reached a file's blocks. `grows_to` is the size that comes with them in one step.

    Its blocks were `moved_by` some shifts; where these are lost, they are where they were before.
    """

    offset: int
    data: bytes
    grows_to: int = 0
    moved_by: "tuple[Shift, ...]" = ()

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self.offset + len(self.data)

    def __str__(self) -> str:
        return f"{len(self.data)} bytes of {shown(self.path)} at {self.offset}"


@dataclass(slots=True, eq=False, kw_only=True)
class Stale(Data):
    """Blocks were given to a file, but not written: they show what they held before."""

    @classmethod
    def behind(cls, data: Data) -> "Stale":
        """Return the stale bytes that a write covers."""
        return cls(
            record=data.record,
            path=data.path,
            file=data.file,
            offset=data.offset,
            data=_STALE_BYTE * len(data.data),
            moved_by=data.moved_by,
        )

    def __str__(self) -> str:
        return f"stale blocks in {shown(self.path)} at {self.offset}, {len(self.data)} bytes"


@dataclass(slots=True, eq=False, kw_only=True)
class Grow(FileOperation):
    """A file became longer."""

    size: int

    def __str__(self) -> str:
        return f"size of {shown(self.path)} to {self.size} bytes"


@dataclass(slots=True, eq=False, kw_only=True)
class Shrink(FileOperation):
    """A file was cut off; the blocks behind are gone.

    What stands behind the new size in its last block comes to light if the file grows again, unless
    that has been overwritten with zeros: by `Data` of its own, or by this, where it `zeroes`. Where
    the file on disk may have that size already, it is `idle`: it may change nothing there.
    """

    size: int
    zeroes: bool = False
    idle: bool = False

    @property
    def end(self) -> int:
        """The end of the file's last block."""
        return -(-self.size // PAGE_BYTES) * PAGE_BYTES

    def __str__(self) -> str:
        return f"truncation of {shown(self.path)} to {self.size} bytes"


@dataclass(slots=True, eq=False, kw_only=True)
class Shift(FileOperation):
    """Blocks were put in at an offset, or taken out where `length` is negative."""

    offset: int
    length: int

    def __str__(self) -> str:
        return f"shift of {shown(self.path)} by {self.length} bytes from {self.offset}"


Slot = tuple[int, bytes]
"""A directory's number, and a name in it."""

Entry = tuple[Slot, int]
"""A name, and the number of what it stands for."""


@dataclass(slots=True, eq=False, kw_only=True)
class Names(Operation):
    """Directory entries changed in one step: first some are `taken` away, then others `given`.

    An entry is not taken where its name stands for something else: what gave it may be lost.
    `nodes` are those whose sync may include the change; `creates` tells whether one of them was
    made; `what` says in words what the step was.
    """

    taken: tuple[Entry, ...]
    given: tuple[Entry, ...]
    nodes: frozenset[int]
    creates: bool
    what: str

    def touches(self, directory: int) -> bool:
        """Tell whether an entry of a directory changed."""
        return any(slot[0] == directory for slot, _ in (*self.taken, *self.given))

    def leaving(self, directory: int) -> "Names | None":
        """Take out of this what it takes from other directories; return that, if there is any.

        Each directory may reach the disk by itself; but nothing takes a file's last name.
        """
        elsewhere = tuple(entry for entry in self.taken if entry[0][0] != directory)
        if not elsewhere:
            return None
        self.taken = tuple(entry for entry in self.taken if entry[0][0] == directory)
        return Names(
            record=self.record,
            path=self.path,
            needs=[self],
            taken=elsewhere,
            given=(),
            nodes=self.nodes,
            creates=False,
            what=f"removal of the old name after {self.what}",
        )

    def __str__(self) -> str:
        return self.what
