"""Names and contents as they stand on a disk, changed by one micro-operation after another."""

from collections.abc import Iterator, Mapping
from typing import Final

from durability.crash.operations import ROOT, Data, Grow, Names, Operation, Shift, Shrink, Slot
from durability.errors import MechanismError
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.tree import FILE_BYTES_MAX

_NOTHING: Final[Mapping[bytes, int]] = {}


class Image:
    """One file: its blocks, which may reach beyond its size or not up to it.

    `shifts` are those it has seen that are not durable.
    """

    __slots__ = ("blocks", "shifts", "size")

    def __init__(self, blocks: bytes | bytearray = b"", size: int = 0) -> None:
        self.blocks = bytearray(blocks)
        self.size = size
        self.shifts: list[Shift] = []

    def copy(self) -> "Image":
        """Return an equal image of its own."""
        copy = Image(self.blocks, self.size)
        copy.shifts = self.shifts.copy()
        return copy

    def visible(self) -> bytes:
        """Return what a reader sees."""
        seen = bytes(self.blocks[: self.size])
        return seen + bytes(self.size - len(seen))

    def apply(self, operation: Operation) -> None:
        """Make one operation's change. Raises MechanismError where it is beyond memory."""
        match operation:
            case Data():
                self._write(self._place_of(operation), operation.data)
                self._grow(operation.grows_to)
            case Grow():
                self._grow(operation.size)
            case Shrink():
                self.size = operation.size
                del self.blocks[operation.size if operation.zeroes else operation.end :]
            case Shift():
                self._shift(operation.offset, operation.length)
                if not operation.durable:
                    self.shifts.append(operation)

    def _place_of(self, data: Data) -> int:
        """Return where the blocks are that some data was written to."""
        lost = (one for one in data.moved_by if not one.durable and one not in self.shifts)
        return data.offset - sum(shift.length for shift in lost)

    def apply_behind(self, offset: int, operation: Operation) -> None:
        """Make the change that an operation makes behind an offset to what this holds of that."""
        match operation:
            case Data():
                self._write(operation.offset - offset, operation.data)
            case Shrink():
                end = operation.size if operation.zeroes else operation.end
                del self.blocks[max(0, end - offset) :]

    def _write(self, offset: int, data: bytes) -> None:
        _permit(offset + len(data))
        if len(self.blocks) < offset:
            self.blocks.extend(bytes(offset - len(self.blocks)))
        self.blocks[offset : offset + len(data)] = data

    def _grow(self, size: int) -> None:
        _permit(size)
        self.size = max(self.size, size)

    def _shift(self, offset: int, length: int) -> None:
        if length < 0:
            del self.blocks[offset : offset - length]
        elif offset < len(self.blocks):
            self.blocks[offset:offset] = bytes(length)
        self.size += length


class Directories:
    """Entries by directory. A number stands for the same node in all states of one run."""

    def __init__(self) -> None:
        self._entries: dict[int, dict[bytes, int]] = {}

    def copy(self) -> "Directories":
        """Return equal directories of their own."""
        copy = Directories()
        copy._entries = {directory: dict(names) for directory, names in self._entries.items()}
        return copy

    def get(self, slot: Slot) -> int | None:
        """Return what a name stands for."""
        return self.entries(slot[0]).get(slot[1])

    def entries(self, directory: int) -> Mapping[bytes, int]:
        """Return what stands in a directory."""
        return self._entries.get(directory, _NOTHING)

    def apply(self, operation: Names) -> None:
        """Make one operation's change."""
        for slot, node in operation.taken:
            self.take(slot, node)
        for slot, node in operation.given:
            self.give(slot, node)

    def take(self, slot: Slot, node: int) -> None:
        """Remove a name, unless it stands for something else."""
        if self.get(slot) == node:
            del self._entries[slot[0]][slot[1]]

    def give(self, slot: Slot, node: int) -> None:
        """Let a name stand for a node."""
        self._entries.setdefault(slot[0], {})[slot[1]] = node

    def walk(self) -> Iterator[tuple[bytes, int]]:
        """Yield every path that leads from the root to a node, directories before their entries."""
        waiting: list[tuple[bytes, int, frozenset[int]]] = [(b"", ROOT, frozenset())]
        while waiting:
            prefix, directory, above = waiting.pop()
            inside = above | {directory}
            for name, node in self.entries(directory).items():
                yield prefix + name, node
                if node < ROOT and node not in inside:
                    waiting.append((prefix + name + b"/", node, inside))


def _permit(size: int) -> None:
    if size > FILE_BYTES_MAX:
        raise MechanismError(f"a file of {size} bytes: up to {FILE_BYTES_MAX} can be followed")


def pages(offset: int, length: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of an extent's part of each page it touches."""
    end = offset + length
    while offset < end:
        until = min(end, offset - offset % PAGE_BYTES + PAGE_BYTES)
        yield offset, until
        offset = until
