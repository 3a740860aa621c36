"""From records to micro-operations, with the dependencies that a model puts between them.

A `Splitter` follows a run as its processes see it: which names there are, how long each file is,
and which of its pages certainly have a block on disk. The order of ext4's and XFS's own steps is
explained in `docs/persistence-models.md`.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

from durability.crash.models import Growth, Model, NameOrder
from durability.crash.operations import (
    ROOT,
    Data,
    Grow,
    Names,
    Operation,
    Shift,
    Shrink,
    Slot,
    Stale,
)
from durability.crash.storage import Directories, pages
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
    shown,
)

_KEEP_SIZE: Final = 0x01
_PUNCH_HOLE: Final = 0x02
_COLLAPSE_RANGE: Final = 0x08
_ZERO_RANGE: Final = 0x10
_INSERT_RANGE: Final = 0x20

SYNCHRONOUS: Final = os.RWF_SYNC | os.RWF_DSYNC
"""The flags of a write that returns when it is durable."""

_CREATION: Final = "creation of"


class _File:
    """A file as processes see it, and the operations that later ones on it depend on.

    `blocks` holds, for each page that may have a block, the operations that gave it one; `units`
    the last operation on each unit; `growths` those since the last `Shrink` or `Shift`, the
    `barrier`. On disk it is at least `reached` bytes long.
    """

    def __init__(self) -> None:
        self.size = 0
        self.reached = 0
        self.blocks: dict[int, list[Operation]] = {}
        self.units: dict[int, Operation] = {}
        self.growths: list[Grow] = []
        self.barrier: Operation | None = None

    def in_place(self, page: int) -> bool:
        """Tell whether a page certainly has a block, so that a write to it goes there."""
        made = self.blocks.get(page)
        return made is not None and all(operation.durable for operation in made)

    def may_end_before(self, size: int) -> bool:
        """Tell whether nothing has made the file reach to a size, though it is longer.

        Writing any page to disk makes the file there reach to the end of that page.
        """
        for growth in self.growths:
            if growth.durable:
                self.reached = max(self.reached, growth.size)
        self.growths = [growth for growth in self.growths if not growth.durable]
        expected = {growth.size for growth in self.growths}
        return bool(expected) and size > self.reached and size not in expected

    def forget_pages(self, first: int) -> None:
        """Note that the blocks from a page on are gone."""
        self.blocks = {page: made for page, made in self.blocks.items() if page < first}


class Splitter:
    """Turns the records of one run, in order, into micro-operations under a model."""

    def __init__(self, model: Model) -> None:
        self.names = Directories()
        self.symlinks: dict[int, bytes] = {}
        self._model = model
        self._files: defaultdict[int, _File] = defaultdict(_File)
        self._slots: dict[Slot, Operation] = {}
        self._links: defaultdict[int, set[Slot]] = defaultdict(set)
        self._new: dict[int, Names] = {}
        self._head: Operation | None = None
        self._log_tree: set[int] = set()
        self._next_node = ROOT - 1
        self._number = 0
        self._splits: dict[type[AnyRecord], Callable[[Any], Iterator[Operation]]] = {
            Open: self._open,
            Write: self._write,
            Truncate: self._truncate,
            Allocate: self._allocate,
            Rename: self._rename,
            Link: self._link,
            Symlink: self._symlink,
            Unlink: self._remove,
            MakeDirectory: self._make_directory,
            RemoveDirectory: self._remove,
            Sync: self._sync,
            SyncAll: self._sync_all,
        }

    def split(self, record: AnyRecord, number: int) -> Iterator[Operation]:
        """Yield the parts of a record, which is the `number`-th of its trace, in order."""
        self._number = number
        split = self._splits.get(type(record))
        return iter(()) if split is None else split(record)

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

    @property
    def head(self) -> list[Operation]:
        """The last operation in the log."""
        return [] if self._head is None else [self._head]

    # Contents

    def _write(self, record: Write) -> Iterator[Operation]:
        for start, end in pages(record.offset, len(record.data)):
            piece = record.data[start - record.offset : end - record.offset]
            yield from self._write_page(record.file, record.path, start, piece)
        if record.flags & SYNCHRONOUS:
            self._enter_log_tree(record.file, record.path)

    def _write_page(self, file: int, path: bytes, offset: int, data: bytes) -> Iterator[Operation]:
        """Yield the data of a write to one page, then the growth it brings."""
        view = self._files[file]
        page = offset // PAGE_BYTES
        yield from self._fill_last_page(file, path, offset)
        in_place, has_block = view.in_place(page), page in view.blocks
        wrote: list[Operation] = []
        for piece in self._pieces(offset, data, new_block=not has_block):
            operation = Data(
                record=self._number, path=path, file=file, offset=piece[0], data=piece[1]
            )
            if self._model.stale_blocks and not in_place:
                stale = Stale.behind(operation)
                self._place(view, stale)
                if not has_block:
                    self._log(stale, joins=False)
                operation.needs.append(stale)
                yield stale
            self._place(view, operation)
            if self._model.growth is Growth.WITH_DATA and operation.end > view.size:
                view.size = operation.grows_to = operation.end
            if self._model.copy_on_write or self._model.data_in_log or not has_block:
                self._log(operation, joins=self._model.data_in_log)
            wrote.append(operation)
            yield operation
        view.blocks.setdefault(page, wrote)
        if self._model.growth is Growth.WITH_DATA:
            return
        end = offset + len(data)
        size = min(max(end, view.size), (page + 1) * PAGE_BYTES)
        if end > view.size or view.may_end_before(size):
            yield self._grow(file, path, size, wrote, at_once=in_place)
            yield from self._grow_by_others(file, path, wrote)

    def _grow_by_others(
        self, file: int, path: bytes, wrote: list[Operation]
    ) -> Iterator[Operation]:
        """Yield the growth to the same size that comes with data written before.

        Whatever data of a file btrfs finishes writing, it then takes the size as it is by now.
        """
        view = self._files[file]
        if self._model.copy_on_write:
            earlier = (one for one in view.units.values() if not one.durable and one not in wrote)
            first = min(earlier, key=lambda one: one.record, default=None)
            if first is not None:
                yield self._grow(file, path, view.size, [first], at_once=False)

    def _fill_last_page(self, file: int, path: bytes, size: int) -> Iterator[Operation]:
        """Yield the growth that the last page brings once the file goes on behind it."""
        view = self._files[file]
        page = view.size // PAGE_BYTES
        end = (page + 1) * PAGE_BYTES
        if self._model.growth is Growth.WITH_DATA or page not in view.blocks or size < end:
            return
        if view.may_end_before(end):
            per_page = PAGE_BYTES // self._model.unit_bytes
            units = range(page * per_page, (page + 1) * per_page)
            wrote = list(dict.fromkeys(view.units[unit] for unit in units if unit in view.units))
            yield self._grow(file, path, end, wrote, at_once=False)

    def _pieces(self, offset: int, data: bytes, *, new_block: bool) -> Iterator[tuple[int, bytes]]:
        """Cut what is written in place into units; a new block is not seen before it is whole."""
        unit_bytes = self._model.unit_bytes
        if unit_bytes == PAGE_BYTES or (self._model.logged and new_block):
            yield offset, data
            return
        at = 0
        while at < len(data):
            until = at + unit_bytes - (offset + at) % unit_bytes
            yield offset + at, data[at:until]
            at = until

    def _place(self, view: _File, operation: Data) -> None:
        """Let data depend on what was written to the same units before."""
        if view.barrier is not None and isinstance(view.barrier, Shift):
            operation.needs.append(view.barrier)
        if not operation.data:
            return
        unit_bytes = self._model.unit_bytes
        for unit in range(operation.offset // unit_bytes, (operation.end - 1) // unit_bytes + 1):
            before = view.units.get(unit)
            if self._model.units_in_order:
                _need(operation, before)
            view.units[unit] = operation

    def _grow(
        self, file: int, path: bytes, size: int, wrote: list[Operation], *, at_once: bool
    ) -> Operation:
        view = self._files[file]
        operation = Grow(record=self._number, path=path, file=file, size=size)
        if view.barrier is not None:
            operation.needs.append(view.barrier)
        growth = self._model.growth
        if growth is Growth.AFTER_DATA:
            operation.needs += wrote
            at_once = at_once and not wrote
        elif growth is Growth.AFTER_BLOCK and not at_once:
            operation.needs += view.blocks.get((size - 1) // PAGE_BYTES, [])
        self._log(operation, joins=at_once)
        view.size = max(view.size, size)
        view.growths.append(operation)
        return operation

    def _truncate(self, record: Truncate) -> Iterator[Operation]:
        return self._set_size(record.file, record.path, record.size)

    def _set_size(self, file: int, path: bytes, size: int) -> Iterator[Operation]:
        view = self._files[file]
        if size > view.size:
            yield from self._fill_last_page(file, path, size)
            yield self._grow(file, path, size, [], at_once=True)
            return
        if size == view.size:
            return
        page = size // PAGE_BYTES
        tail = min(view.size, (page + 1) * PAGE_BYTES) - size
        shrink = Shrink(
            record=self._number, path=path, file=file, size=size, zeroes=self._model.data_in_log
        )
        if size % PAGE_BYTES and page in view.blocks and not self._model.data_in_log:
            # The page in memory ends in zeros from now on, and may be written before the size is.
            zeros = list(self._write_page(file, path, size, bytes(tail)))
            yield from zeros
            if self._model.zeroes_cut_block and view.in_place(page):
                shrink.needs += zeros
        view.size = size
        yield self._bar(view, shrink)
        view.forget_pages(-(-size // PAGE_BYTES))

    def _bar(self, view: _File, operation: Shrink | Shift) -> Operation:
        if view.barrier is not None:
            operation.needs.append(view.barrier)
        self._log(operation, joins=True)
        view.barrier = operation
        view.reached = min(view.reached, view.size)
        view.growths.clear()
        return operation

    def _allocate(self, record: Allocate) -> Iterator[Operation]:
        view = self._files[record.file]
        end = record.offset + record.length
        if record.mode & (_COLLAPSE_RANGE | _INSERT_RANGE):
            yield self._shift(record, view)
            return
        if record.mode & (_PUNCH_HOLE | _ZERO_RANGE):
            yield from self._zero(record, min(end, view.size))
        if not record.mode & _KEEP_SIZE and end > view.size:
            yield self._grow(record.file, record.path, end, [], at_once=True)

    def _zero(self, record: Allocate, end: int) -> Iterator[Operation]:
        view = self._files[record.file]
        for start, until in pages(record.offset, end - record.offset):
            zeros = bytes(until - start)
            yield from self._write_page(record.file, record.path, start, zeros)
            if len(zeros) == PAGE_BYTES:
                view.blocks.pop(start // PAGE_BYTES, None)
        if view.may_end_before(end):
            # ext4 first makes the file reach there on disk: ext4_update_disksize_before_punch.
            yield self._grow(record.file, record.path, end, [], at_once=False)

    def _shift(self, record: Allocate, view: _File) -> Operation:
        length = -record.length if record.mode & _COLLAPSE_RANGE else record.length
        shift = Shift(
            record=self._number,
            path=record.path,
            file=record.file,
            offset=record.offset,
            length=length,
        )
        # What is moved is written first: man 2 fallocate, and in each of the three file systems.
        first = record.offset // self._model.unit_bytes
        shift.needs += [made for unit, made in view.units.items() if unit >= first]
        shift.needs += view.growths
        view.size += length
        view.forget_pages(record.offset // PAGE_BYTES)
        return self._bar(view, shift)

    # Names

    def _open(self, record: Open) -> Iterator[Operation]:
        if record.created and record.path:
            slot = self.locate(record.path)
            yield self._change(record.path, _CREATION, (slot, record.file))
        if record.flags & os.O_TRUNC:
            yield from self._set_size(record.file, record.path, 0)

    def _link(self, record: Link) -> Iterator[Operation]:
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

    def _symlink(self, record: Symlink) -> Iterator[Operation]:
        node = self._new_node()
        self.symlinks[node] = record.content
        yield self._change(
            record.path, f"{_CREATION} symbolic link", (self.locate(record.path), node)
        )

    def _make_directory(self, record: MakeDirectory) -> Iterator[Operation]:
        slot = self.locate(record.path)
        yield self._change(record.path, f"{_CREATION} directory", (slot, self._new_node()))

    def _new_node(self) -> int:
        self._next_node -= 1
        return self._next_node + 1

    def _remove(self, record: Unlink | RemoveDirectory) -> Iterator[Operation]:
        yield self._change(record.path, "removal", (self.locate(record.path), None))

    def _rename(self, record: Rename) -> Iterator[Operation]:
        source, destination = self.locate(record.source), self.locate(record.destination)
        moved, replaced = self.names.get(source), self.names.get(destination)
        what = f"renaming of {shown(record.source)} to"
        changes = [(source, replaced if record.exchange else None), (destination, moved)]
        if self._leaves_log_tree(destination, moved, replaced) and not record.exchange:
            yield self._change(record.destination, "replacement of", (destination, None))
            replaced = None
        if self._is_done_in_steps(record, moved, replaced):
            cleared = [(destination, None)] if replaced is not None else []
            returned = changes[:1] if record.exchange else []
            for change in (*cleared, (source, None), (destination, moved), *returned):
                yield self._change(record.destination, what, change)
            return
        operation = self._change(record.destination, what, *changes)
        if record.exchange and not self._model.exchange_is_change:
            operation.nodes = frozenset()
        if self._model.rename_allocates and replaced is not None and not record.exchange:
            operation.needs += self._allocation(moved)
        yield operation

    def _leaves_log_tree(self, slot: Slot, moved: int | None, replaced: int | None) -> bool:
        """Tell whether a log tree may take a name from one file without giving it to another.

        So it is with a name that only the log tree holds, where the file that gets it has not been
        synced: the next sync of anything keeps the removal. And with one of several names of a
        file, whose next sync keeps it.
        """
        if self._model.names is not NameOrder.LOG_TREE or replaced is None:
            return False
        named = self._slots.get(slot)
        in_log_only = named is not None and named.durable
        return len(self._links[replaced]) > 1 or (in_log_only and moved not in self._log_tree)

    def _is_done_in_steps(self, record: Rename, *nodes: int | None) -> bool:
        if self._model.names is NameOrder.LOG_TREE and record.exchange:
            # A sync of one of the two files logs that one's name alone, if they are new.
            return any(node in self._new and not self._new[node].durable for node in nodes if node)
        return self._model.rename_in_steps

    def _allocation(self, node: int | None) -> list[Operation]:
        """Return what is on disk once blocks are allocated for all that a file holds."""
        view = self._files.get(ROOT if node is None else node)
        if view is None:
            return []
        found: list[Operation] = list(view.growths)
        if self._model.growth is Growth.AFTER_BLOCK:
            # The blocks that this gives it are written before the log is.
            found += [
                last
                for page, last in view.units.items()
                if page in view.blocks and not view.in_place(page)
            ]
        return found

    def _change(self, path: bytes, what: str, *changes: tuple[Slot, int | None]) -> Names:
        before = [self.names.get(slot) for slot, _ in changes]
        after = [node for _, node in changes]
        operation = Names(
            record=self._number,
            path=path,
            changes=changes,
            nodes=frozenset({node for node in (*before, *after) if node is not None}),
            what=f"{what} {shown(path)}",
            creates=what.startswith(_CREATION),
        )
        if operation.creates:
            self._new.update(dict.fromkeys(operation.nodes, operation))
        for slot, _ in changes:
            _need(operation, self._slots.get(slot))
            self._slots[slot] = operation
        for (slot, _), node in zip(changes, before, strict=True):
            if node is not None:
                self._links[node].discard(slot)
        for slot, node in changes:
            if node is not None:
                self._links[node].add(slot)
        self._log(operation, joins=True)
        if self._changes_log_tree(operation, before):
            leave_order(operation)
        self.names.apply(operation)
        return operation

    def _changes_log_tree(self, operation: Names, before: list[int | None]) -> bool:
        """Tell whether names change that a log tree holds already.

        It changes with them, and the next sync of anything takes them along.
        """
        if not self._log_tree:
            return False
        removes = any(
            slot[0] in self._log_tree
            for (slot, _), node in zip(operation.changes, before, strict=True)
            if node is not None
        )
        return removes or bool(operation.nodes & self._log_tree)

    def _sync(self, record: Sync) -> Iterator[Operation]:
        node = self.node(record.path) if record.file is None else record.file
        if node is not None:
            self._enter_log_tree(node, record.path)
        return iter(())

    def _sync_all(self, _record: SyncAll) -> Iterator[Operation]:
        self._log_tree.clear()
        self._new.clear()
        self._slots.clear()
        return iter(())

    def _enter_log_tree(self, node: int, path: bytes) -> None:
        if self._model.names is NameOrder.LOG_TREE:
            self._log_tree.add(node)
            self._log_tree |= self._new.keys() & set(self.names.entries(node).values())
            if path:
                self._log_tree.add(self.locate(path)[0])

    def _log(self, operation: Operation, *, joins: bool) -> None:
        """Give an operation its place in the log; what comes later waits for it if it `joins`."""
        if not self._model.logged:
            return
        operation.after = self._head
        operation.joins = joins
        if joins:
            self._head = operation


def leave_order(operation: Operation) -> None:
    """Let a change of names be durable without what the log has before it."""
    operation.after = None
    for needed in operation.needs:
        leave_order(needed)


def _need(operation: Operation, needed: Operation | None) -> None:
    if needed is not None and not needed.durable and needed not in operation.needs:
        operation.needs.append(needed)
