"""What changes directories, as micro-operations: which names there are, and what they lead to."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from durability.crash.file_changes import FileChanges
from durability.crash.models import Model, NameOrder
from durability.crash.operation_log import OperationLog
from durability.crash.operations import ROOT, Names, Operation, Slot
from durability.crash.storage import Directories
from durability.trace.records import (
    Link,
    MakeDirectory,
    Open,
    RemoveDirectory,
    Rename,
    Symlink,
    Unlink,
    shown,
)

_CREATION: Final = "creation of"

_Change = tuple[Slot, int | None]
"""A name, and what it is to stand for."""


class NameChanges:
    """The directories of one run, whose changes it turns into micro-operations under a model.

    `names` are those that processes see, `symlinks` what each symbolic link holds.
    """

    def __init__(self, model: Model, log: OperationLog, files: FileChanges) -> None:
        self.names = Directories()
        self.symlinks: dict[int, bytes] = {}
        self._model = model
        self._log = log
        self._files = files
        self._links: defaultdict[int, set[Slot]] = defaultdict(set)
        self._given: defaultdict[int, dict[Slot, Names]] = defaultdict(dict)
        self._moved: defaultdict[int, dict[Slot, Names]] = defaultdict(dict)
        self._replaced: set[int] = set()
        self._new: dict[int, Names] = {}
        self._log_tree: set[int] = set()
        self._next_node = ROOT - 1

    def locate(self, path: bytes) -> Slot:
        """Return the directory and the name that a path leads to."""
        directory = ROOT
        *above, name = path.split(b"/")
        for part in above:
            found = self.names.get((directory, part))
            assert found is not None, f"{path!r} lies in a directory that was never made"
            directory = found
        return directory, name

    def node(self, path: bytes) -> int | None:
        """Return what a path leads to; the root for an empty one."""
        return self.names.get(self.locate(path)) if path else ROOT

    def is_named(self, node: int) -> bool:
        """Tell whether a node has a name."""
        return bool(self._links[node])

    def is_replaced(self, node: int) -> bool:
        """Tell whether a node lost its last name to another node."""
        return node in self._replaced

    def create(self, record: Open) -> Iterator[Operation]:
        """Yield the name that an open made, if it made one."""
        if record.created and record.path:
            slot = self.locate(record.path)
            yield self._change(record.path, _CREATION, (slot, record.file))

    def link(self, record: Link) -> Iterator[Operation]:
        """Yield the name that a file is given besides those it has."""
        slot = self.locate(record.path)
        was_named = self.is_named(record.file)
        operation = self._change(record.path, "link", (slot, record.file))
        above = self._new.get(slot[0])
        if (
            self._model.names is NameOrder.LOG_TREE
            and not was_named
            and above is not None
            and not above.durable
        ):
            # Observed on Linux 6.18: a sync of what was an unnamed file does not keep a name in a
            # directory that is new itself.
            operation.nodes = frozenset()
        yield operation

    def symlink(self, record: Symlink) -> Iterator[Operation]:
        """Yield the name of a new symbolic link."""
        node = self._new_node()
        self.symlinks[node] = record.content
        yield self._change(
            record.path, f"{_CREATION} symbolic link", (self.locate(record.path), node)
        )

    def make_directory(self, record: MakeDirectory) -> Iterator[Operation]:
        """Yield the name of a new directory."""
        slot = self.locate(record.path)
        yield self._change(record.path, f"{_CREATION} directory", (slot, self._new_node()))

    def _new_node(self) -> int:
        self._next_node -= 1
        return self._next_node + 1

    def remove(self, record: Unlink | RemoveDirectory) -> Iterator[Operation]:
        """Yield the removal of a name."""
        yield self._change(record.path, "removal", (self.locate(record.path), None))

    def rename(self, record: Rename) -> Iterator[Operation]:
        """Yield what moves a name, in one step or in several."""
        source, destination = self.locate(record.source), self.locate(record.destination)
        moved, replaced = self.names.get(source), self.names.get(destination)
        what = f"renaming of {shown(record.source)} to"
        changes: list[_Change] = [
            (source, replaced if record.exchange else None),
            (destination, moved),
        ]
        if replaced is not None and not record.exchange and self._links[replaced] == {destination}:
            self._replaced.add(replaced)
        if self._leaves_log_tree(destination, moved, replaced) and not record.exchange:
            yield self._change(record.destination, "replacement of", (destination, None))
            replaced = None
        if self._model.rename_in_steps:
            cleared = [(destination, None)] if replaced is not None else []
            returned = changes[:1] if record.exchange else []
            for change in (*cleared, (source, None), (destination, moved), *returned):
                yield self._change(record.destination, what, change)
            return
        if record.exchange:
            yield from self._exchange(record.destination, what, changes)
            return
        operation = self._change(record.destination, what, *changes)
        if self._model.rename_allocates and replaced is not None:
            operation.needs += self._files.allocation(moved)
        free = self._model.names is NameOrder.FREE
        leaving = operation.leaving(destination[0]) if free else None
        yield operation
        if leaving is not None:
            yield leaving

    def _exchange(self, path: bytes, what: str, changes: list[_Change]) -> Iterator[Operation]:
        """Yield what lets two names change places, in one step unless there may be a half of it."""
        if self._model.names is NameOrder.FREE:
            for change in changes:
                yield self._change(path, what, change)
            return
        for other, logged in (changes, changes[::-1]):
            if self._is_alone_in_log_tree(logged[1], other[1]):
                first = self._change(path, what, (other[0], None), logged)
                yield first
                second = self._change(path, what, other)
                second.needs.append(first)
                yield second
                return
        operation = self._change(path, what, *changes)
        if not self._model.exchange_is_change:
            operation.nodes = frozenset()
        yield operation

    def _is_alone_in_log_tree(self, node: int | None, other: int | None) -> bool:
        """Tell whether a log tree has one of two new files and not the other.

        Observed on Linux 6.18: where they exchange their names, it takes the new one of that file,
        and the next sync of anything keeps it; of the other there is nothing.
        """
        assert node is not None
        assert other is not None
        creation = self._new.get(other)
        return (
            node in self._log_tree & self._new.keys()
            and other not in self._log_tree
            and creation is not None
            and not creation.durable
        )

    def _leaves_log_tree(self, slot: Slot, moved: int | None, replaced: int | None) -> bool:
        """Tell whether a log tree may take a name from one file without giving it to another.

        So it is with a name that only the log tree holds, where the file that gets it has not been
        synced: the next sync of anything keeps the removal. And with one of several names of a
        file, whose next sync keeps it.
        """
        if self._model.names is not NameOrder.LOG_TREE or replaced is None:
            return False
        named = self._given[replaced].get(slot)
        in_log_only = named is not None and (named.durable or (slot, replaced) not in named.given)
        return len(self._links[replaced]) > 1 or (in_log_only and moved not in self._log_tree)

    def _change(self, path: bytes, what: str, *changes: _Change) -> Names:
        before = [(slot, node) for slot, _ in changes if (node := self.names.get(slot)) is not None]
        after = [(slot, node) for slot, node in changes if node is not None]
        operation = Names(
            record=self._log.record,
            path=path,
            taken=tuple(before),
            given=tuple(after),
            nodes=frozenset({node for _, node in (*before, *after)}),
            what=f"{what} {shown(path)}",
            creates=what.startswith(_CREATION),
        )
        if operation.creates:
            self._new.update(dict.fromkeys(operation.nodes, operation))
        for slot, node in before:
            self._links[node].discard(slot)
        for slot, node in after:
            self._links[node].add(slot)
        self._log.append(operation, joins=True)
        if self._changes_log_tree(operation):
            operation.after = None
        self.names.apply(operation)
        for slot, node in after:
            self._given[node][slot] = operation
            passed = {left: names for left, names in self._moved[node].items() if not names.durable}
            if not self._model.rename_in_steps:
                operation.taken += tuple(
                    (left, node) for left in passed if self.names.get(left) != node
                )
            passed.update((left, operation) for left, moved in before if moved == node)
            self._moved[node] = passed
        return operation

    def _changes_log_tree(self, operation: Names) -> bool:
        """Tell whether names change that a log tree holds already.

        It changes with them, and the next sync of anything takes them along.
        """
        removes = any(slot[0] in self._log_tree for slot, _ in operation.taken)
        return removes or bool(operation.nodes & self._log_tree)

    def enter_log_tree(self, node: int, path: bytes) -> None:
        """Note that a sync has put a file or directory, and its name, into a log tree."""
        if self._model.names is NameOrder.LOG_TREE:
            self._log_tree.add(node)
            self._log_tree |= self._new.keys() & set(self.names.entries(node).values())
            if path:
                self._log_tree.add(self.locate(path)[0])

    def forget(self) -> None:
        """Note that all is durable, so that nothing later depends on it."""
        self._log_tree.clear()
        self._new.clear()
        self._given.clear()
        self._moved.clear()
