"""What changes the contents of files, as micro-operations.

How long each file is, and which of its pages certainly have a block on disk, is followed as the
processes of the run see it.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeVar

from durability.crash.models import Growth, Model
from durability.crash.operation_log import OperationLog, need
from durability.crash.operations import ROOT, Data, Grow, Operation, Shift, Shrink, Stale
from durability.crash.storage import pages
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.records import Allocate, Truncate, Write

_T = TypeVar("_T")

_KEEP_SIZE: Final = 0x01
_PUNCH_HOLE: Final = 0x02
_COLLAPSE_RANGE: Final = 0x08
_ZERO_RANGE: Final = 0x10
_INSERT_RANGE: Final = 0x20
_BEFORE_DATA: Final = (Growth.AFTER_BLOCK, Growth.AFTER_ALLOCATION, Growth.FREE)


class _Block(NamedTuple):
    """Where a page is: what gave it a block, and the shifts that have moved that since."""

    made: list[Operation]
    moved_by: tuple[Shift, ...] = ()

    def pending_shifts(self) -> tuple[Shift, ...]:
        """Return what has moved it and could still be lost."""
        return tuple(shift for shift in self.moved_by if not shift.durable)


class _File:
    """A file as processes see it, and the operations that later ones on it depend on.

    `blocks` has each page that may have a block, `units` the last operation on each unit; `growths`
    those since the last `Shrink` or `Shift`, the `barrier`. On disk it is at least `reached` bytes
    long. `unordered` is the data that nothing on its unit depends on.
    """

    def __init__(self) -> None:
        self.size = 0
        self.reached = 0
        self.blocks: dict[int, _Block] = {}
        self.units: dict[int, Operation] = {}
        self.growths: list[Grow] = []
        self.barrier: Operation | None = None
        self.unordered: list[Data] = []

    def in_place(self, page: int) -> bool:
        """Tell whether a page certainly has a block, so that a write to it goes there."""
        block = self.blocks.get(page)
        return block is not None and all(operation.durable for operation in block.made)

    @property
    def is_growing(self) -> bool:
        """Whether it may be shorter on disk."""
        return any(not growth.durable for growth in self.growths)

    def may_end_before(self, size: int) -> bool:
        """Tell whether nothing has made the file reach to a size, though it is longer.

        Writing any page to disk makes the file there reach to the end of that page.
        """
        expected = {growth.size for growth in self.growths}
        return self.may_be_shorter_than(size) and size not in expected

    def may_be_shorter_than(self, size: int) -> bool:
        """Tell whether the file on disk may end before a size, though it is longer."""
        for growth in self.growths:
            if growth.durable:
                self.reached = max(self.reached, growth.size)
        self.growths = [growth for growth in self.growths if not growth.durable]
        return bool(self.growths) and size > self.reached

    def may_end_at(self, size: int) -> bool:
        """Tell whether the file on disk may have a size already, though it is longer."""
        growths = [growth for growth in self.growths if growth.size > size]
        known = {self.reached, *(growth.size for growth in self.growths)}
        is_open = self.may_be_shorter_than(self.size)
        return is_open and size in known and not any(growth.joins for growth in growths)

    def forget_pages(self, first: int) -> None:
        """Note that the blocks from a page on are gone."""
        self.blocks = {page: block for page, block in self.blocks.items() if page < first}

    def move(self, shift: Shift, unit_bytes: int) -> None:
        """Note that blocks behind an offset are elsewhere, once that is on disk."""
        blocks = {page: _Block(b.made, (*b.moved_by, shift)) for page, b in self.blocks.items()}
        self.blocks = _moved(self.blocks, blocks, shift, PAGE_BYTES)
        self.units = _moved(self.units, self.units, shift, unit_bytes)


def _moved(before: dict[int, _T], behind: dict[int, _T], shift: Shift, each: int) -> dict[int, _T]:
    """Return what is at each place of so many bytes once those behind an offset have moved."""
    first, by = shift.offset // each, shift.length // each
    moved = {at + by: one for at, one in behind.items() if at >= first and at + by >= first}
    return {at: one for at, one in before.items() if at < first} | moved


class FileChanges:
    """The files of one run, whose changes it turns into micro-operations under a model."""

    def __init__(self, model: Model, log: OperationLog) -> None:
        self._model = model
        self._log = log
        self._files: defaultdict[int, _File] = defaultdict(_File)

    def write(self, record: Write) -> Iterator[Operation]:
        """Yield the parts of a write, page by page."""
        for start, end in pages(record.offset, len(record.data)):
            piece = record.data[start - record.offset : end - record.offset]
            yield from self._write_page(record.file, record.path, start, piece)

    def _write_page(self, file: int, path: bytes, offset: int, data: bytes) -> Iterator[Operation]:
        """Yield the data of a write to one page, then the growth it brings."""
        view = self._files[file]
        page = offset // PAGE_BYTES
        yield from self._fill_last_page(file, path, offset)
        in_place, has_block = view.in_place(page), page in view.blocks
        in_log = self._model.copy_on_write or self._model.data_in_log or not has_block
        moved_by = () if in_log else view.blocks[page].pending_shifts()
        wrote: list[Operation] = []
        for piece in self._pieces(offset, data, new_block=not has_block):
            operation = Data(
                record=self._log.record,
                path=path,
                file=file,
                offset=piece[0],
                data=piece[1],
                moved_by=moved_by,
            )
            if self._model.stale_blocks and not in_place:
                stale = Stale.behind(operation)
                self._place(view, stale)
                if not has_block:
                    self._log.append(stale, joins=False)
                operation.needs.append(stale)
                yield stale
            self._place(view, operation)
            if self._model.growth is Growth.WITH_DATA and operation.end > view.size:
                view.size = operation.grows_to = operation.end
            if in_log:
                self._log.append(operation, joins=self._model.data_in_log)
            wrote.append(operation)
            yield operation
        if not has_block:
            born_behind = [view.barrier] if isinstance(view.barrier, Shift) else []
            view.blocks[page] = _Block([*wrote, *born_behind])
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
        block = view.blocks.get(operation.offset // PAGE_BYTES)
        for one in [view.barrier] if block is None else block.made:
            if isinstance(one, Shift):
                need(operation, one)
        if not operation.data:
            return
        unit_bytes = self._model.unit_bytes
        for unit in range(operation.offset // unit_bytes, (operation.end - 1) // unit_bytes + 1):
            before = view.units.get(unit)
            if self._model.units_in_order:
                need(operation, before)
            view.units[unit] = operation
        if not self._model.units_in_order:
            view.unordered.append(operation)

    def _grow(
        self, file: int, path: bytes, size: int, wrote: list[Operation], *, at_once: bool
    ) -> Operation:
        view = self._files[file]
        operation = Grow(record=self._log.record, path=path, file=file, size=size)
        if view.barrier is not None:
            operation.needs.append(view.barrier)
        growth = self._model.growth
        if growth is Growth.AFTER_DATA:
            operation.needs += wrote
            at_once = at_once and not wrote
        elif growth is Growth.AFTER_BLOCK and not at_once:
            block = view.blocks.get((size - 1) // PAGE_BYTES)
            operation.needs += [] if block is None else block.made
        self._log.append(operation, joins=at_once)
        view.size = max(view.size, size)
        view.growths.append(operation)
        return operation

    def truncate(self, record: Truncate) -> Iterator[Operation]:
        """Yield the parts of a truncation, which may also make the file longer."""
        return self.set_size(record.file, record.path, record.size)

    def set_size(self, file: int, path: bytes, size: int) -> Iterator[Operation]:
        """Yield what gives a file another size: nothing where it has that already."""
        view = self._files[file]
        if size > view.size:
            yield from self._fill_last_page(file, path, size)
            yield self._grow(file, path, size, [], at_once=True)
            return
        if size == view.size:
            takes = self._model.copy_on_write or self._model.growth in _BEFORE_DATA
            if takes and view.is_growing:
                # btrfs and ext4 take the size as it is, without the data that was to bring it.
                yield self._grow(file, path, size, [], at_once=True)
            return
        page = size // PAGE_BYTES
        tail = min(view.size, (page + 1) * PAGE_BYTES) - size
        shrink = Shrink(
            record=self._log.record,
            path=path,
            file=file,
            size=size,
            zeroes=self._model.data_in_log,
            idle=view.may_end_at(size),
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
        self._log.append(operation, joins=True)
        view.barrier = operation
        view.reached = min(view.reached, view.size)
        view.growths.clear()
        return operation

    def allocate(self, record: Allocate) -> Iterator[Operation]:
        """Yield the parts of what fallocate did: to a range, or to all behind its start."""
        view = self._files[record.file]
        end = record.offset + record.length
        if record.mode & (_COLLAPSE_RANGE | _INSERT_RANGE):
            yield self._shift(record, view)
            return
        zeroed_end = min(end, view.size)
        # ext4 makes the file reach there on disk, though its size is on its way: ext4_fallocate.
        reaches = self._model.growth in _BEFORE_DATA and view.may_be_shorter_than(end)
        if not record.mode & _KEEP_SIZE and (end > view.size or reaches):
            yield self._grow(record.file, record.path, end, [], at_once=True)
        if record.mode & (_PUNCH_HOLE | _ZERO_RANGE):
            yield from self._zero(record, zeroed_end)

    def _zero(self, record: Allocate, end: int) -> Iterator[Operation]:
        view = self._files[record.file]
        for start, until in pages(record.offset, end - record.offset):
            zeros = bytes(until - start)
            yield from self._write_page(record.file, record.path, start, zeros)
            reaches = record.offset + record.length > until == view.size
            if start % PAGE_BYTES == 0 and (reaches or until % PAGE_BYTES == 0):
                view.blocks.pop(start // PAGE_BYTES, None)
        # ext4 first makes the file reach there on disk: ext4_update_disksize_before_punch. It does
        # not wait for blocks then.
        at_once = self._model.growth is Growth.AFTER_BLOCK
        comes_first = at_once and view.is_growing and end == view.size
        if record.offset <= end and (comes_first or view.may_end_before(end)):
            yield self._grow(record.file, record.path, end, [], at_once=at_once)

    def _shift(self, record: Allocate, view: _File) -> Operation:
        length = -record.length if record.mode & _COLLAPSE_RANGE else record.length
        shift = Shift(
            record=self._log.record,
            path=record.path,
            file=record.file,
            offset=record.offset,
            length=length,
        )
        # What is moved is written first: man 2 fallocate, and in each of the three file systems.
        first = record.offset // self._model.unit_bytes
        shift.needs += [made for unit, made in view.units.items() if unit >= first]
        shift.needs += [data for data in view.unordered if data.end > record.offset]
        view.unordered = [data for data in view.unordered if data.end <= record.offset]
        # Only to the end: a size comes with the last page, whether or not those before are there.
        shift.needs += [growth for growth in view.growths if growth.size == view.size]
        view.size += length
        view.move(shift, self._model.unit_bytes)
        return self._bar(view, shift)

    def allocation(self, node: int | None) -> list[Operation]:
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
