"""The states of a power cut by the definition, slowly: every subset of operations, replayed.

Independent of `durability.crash`: its own operations, its own rules, no folding of what is durable.
Only for files directly below the root that are created, written, truncated, renamed, removed and
synced, and for models without a log tree, sectors and steps.
"""

from dataclasses import dataclass, field
from itertools import combinations

from durability.trace.records import (
    AnyRecord,
    Open,
    Output,
    Rename,
    Sync,
    SyncAll,
    Truncate,
    Unlink,
    Write,
)

PAGE = 4096
LOGGED = (
    "ext4-datajournal",
    "ext4-dioread_lock",
    "ext4-ordered",
    "ext4-noauto-da-alloc",
    "ext4-writeback",
    "xfs",
)
IN_ORDER = ("prefix", "ext4-datajournal")
LOSES_ALL = ("lost-unsynced", "lost-unsynced-names")
FREE = ("lost-unsynced-names", "posix-default")
STALE = ("ext4-writeback", "posix-default")
MODELS = (*LOGGED, "prefix", *LOSES_ALL, "posix-default")

State = tuple[int, frozenset[tuple[bytes, bytes]]]
"""How much was acknowledged, and the files by name."""


@dataclass(eq=False)
class Op:
    kind: str  # "data", "grow", "cut", "names"
    file: int = 0
    offset: int = 0
    data: bytes = b""
    size: int = 0
    gone: bytes = b""
    given: bytes = b""
    node: int = 0
    nodes: frozenset[int] = frozenset()
    creates: bool = False
    orders: bool = False
    idle: bool = False
    own_needs: set["Op"] = field(default_factory=set)
    needs: set["Op"] = field(default_factory=set)

    @property
    def page(self) -> int:
        return self.offset // PAGE


class BruteForce:
    """All states of a short trace under a model."""

    def __init__(self, model: str, loose_max: int) -> None:
        self.model = model
        self.loose_max = loose_max
        self.ops: list[Op] = []
        self.durable: set[Op] = set()
        self.names: dict[bytes, int] = {}
        self.sizes: dict[int, int] = {}
        self.blocks: dict[tuple[int, int], set[Op]] = {}
        self.replaced: set[int] = set()
        self.states: set[State] = set()
        self.printed = 0

    def run(self, records: list[AnyRecord]) -> bool:
        """Collect the states of a trace; give up where there are too many subsets to try."""
        for record in records:
            self.follow(record)
            if len(self.ops) - len(self.durable) > self.loose_max:
                return False
            self.collect()
        return True

    # The states of a moment

    def collect(self) -> None:
        loose = [op for op in self.ops if op not in self.durable]
        if self.model in LOSES_ALL:
            loose = []
        for count in range(len(loose) + 1):
            for chosen in combinations(loose, count):
                kept = self.durable | set(chosen)
                if all(op.needs <= kept for op in kept):
                    self.states.add((self.printed, self.replay(kept)))

    def replay(self, kept: set[Op]) -> frozenset[tuple[bytes, bytes]]:
        names: dict[bytes, int] = {}
        blocks: dict[int, bytearray] = {}
        sizes: dict[int, int] = {}
        for op in self.ops:
            if op not in kept:
                continue
            block = blocks.setdefault(op.file, bytearray())
            if op.kind == "names" and op.given:
                # A file has one name here: wherever it stood, it stands there now.
                names = {name: node for name, node in names.items() if node != op.node}
                names[op.given] = op.node
            elif op.kind == "names" and names.get(op.gone) == op.node:
                del names[op.gone]
            elif op.kind == "data":
                block.extend(bytes(max(0, op.offset - len(block))))
                block[op.offset : op.offset + len(op.data)] = op.data
            elif op.kind == "cut":
                in_order = self.model in IN_ORDER
                del block[op.size if in_order else -(-op.size // PAGE) * PAGE :]
                sizes[op.file] = op.size
            sizes[op.file] = max(sizes.get(op.file, 0), op.size)
        found = set()
        for name, node in names.items():
            size = sizes.get(node, 0)
            seen = bytes(blocks.get(node, bytearray())[:size])
            found.add((name, seen + bytes(size - len(seen))))
        return frozenset(found)

    # The operations of a record

    def follow(self, record: AnyRecord) -> None:
        match record:
            case Open():
                self.change(record.file, given=record.path, creates=True)
            case Write():
                self.write(record.file, record.offset, record.data)
            case Truncate():
                self.truncate(record.file, record.size)
            case Rename():
                self.rename(record)
            case Unlink():
                self.change(self.names[record.path], gone=record.path)
            case Output():
                self.printed += len(record.data)
            case SyncAll():
                self.make_durable(set(self.ops))
            case Sync():
                self.sync(record)

    def add(self, op: Op, *, waits: bool, orders: bool) -> Op:
        """Add an operation; in a log it `waits` for those that order, and may order others."""
        if self.model in LOGGED and waits:
            op.needs |= {other for other in self.ops if other.orders}
        op.orders = orders and self.model in LOGGED
        self.ops.append(op)
        if self.model == "prefix" or (self.model == "lost-unsynced" and op.kind == "names"):
            self.collect()
            self.make_durable({op})
        return op

    def of(self, file: int, *kinds: str) -> set[Op]:
        return {op for op in self.ops if op.file == file and op.kind in kinds}

    def write(self, file: int, offset: int, data: bytes) -> None:
        while data:
            room = PAGE - offset % PAGE
            self.write_page(file, offset, data[:room])
            offset, data = offset + room, data[room:]

    def write_page(self, file: int, offset: int, data: bytes) -> Op:
        self.fill_last_page(file, offset)
        page = file, offset // PAGE
        known = self.blocks.get(page)
        in_place = known is not None and known <= self.durable
        before = {op for op in self.of(file, "data") if op.page == page[1]}
        end = offset + len(data)
        old_size = self.sizes.get(file, 0)
        op = Op("data", file, offset, data, needs=before)
        if self.model in STALE and not in_place:
            stale = Op("data", file, offset, b"\xa5" * len(data), needs=set(before))
            op.needs |= {self.add(stale, waits=known is None, orders=False)}
        if self.model in IN_ORDER and end > old_size:
            op.size = end
        in_order = self.model == "ext4-datajournal"
        self.add(op, waits=in_order or known is None, orders=in_order)
        first = self.blocks.setdefault(page, {op})
        self.sizes[file] = max(old_size, end)
        if self.model not in IN_ORDER:
            size = min(self.sizes[file], (page[1] + 1) * PAGE)
            if end > old_size or self.may_end_before(file, size):
                grow = Op("grow", file, size=size, needs=self.of(file, "cut"))
                grow.needs |= {op} if self.model == "xfs" else set()
                if self.model == "ext4-dioread_lock" and not in_place:
                    grow.needs |= first
                at_once = in_place and self.model not in ("xfs", "posix-default")
                self.add(grow, waits=True, orders=at_once)
        return op

    def fill_last_page(self, file: int, size: int) -> None:
        """A file that goes on behind its last page may reach to that page's end."""
        page = self.sizes.get(file, 0) // PAGE
        end = (page + 1) * PAGE
        if self.model in IN_ORDER or size < end or (file, page) not in self.blocks:
            return
        if self.may_end_before(file, end):
            grow = Op("grow", file, size=end, needs=self.of(file, "cut"))
            if self.model == "xfs":
                grow.needs |= {op for op in self.of(file, "data") if op.page == page}
            if self.model == "ext4-dioread_lock":
                grow.needs |= self.blocks[file, page]
            self.add(grow, waits=True, orders=False)

    def may_end_before(self, file: int, size: int) -> bool:
        """Growths are pending, none of them to this size, and the file may be shorter on disk."""
        pending = {grow.size for grow in self.growths(file) - self.durable}
        return bool(pending) and size > self.reached(file) and size not in pending

    def may_end_at(self, file: int, size: int) -> bool:
        """The file has this size on disk if some growths behind it were not logged, or may have."""
        pending = self.growths(file) - self.durable
        behind = {grow for grow in pending if grow.size > size}
        known = {self.reached(file), *(grow.size for grow in pending)}
        return bool(behind) and size in known and not any(grow.orders for grow in behind)

    def reached(self, file: int) -> int:
        reached = 0
        for op in self.ops:
            if op.file == file and op.kind == "cut":
                reached = min(reached, op.size)
            elif op.file == file and op.kind == "grow" and op in self.durable:
                reached = max(reached, op.size)
        return reached

    def growths(self, file: int) -> set[Op]:
        """The growths of a file since it was last cut."""
        last = max((self.ops.index(op) for op in self.of(file, "cut")), default=-1)
        return {op for op in self.of(file, "grow") if self.ops.index(op) > last}

    def truncate(self, file: int, size: int) -> None:
        old_size = self.sizes.get(file, 0)
        if size > old_size:
            self.fill_last_page(file, size)
            self.add(
                Op("grow", file, size=size, needs=self.of(file, "cut")), waits=True, orders=True
            )
        elif size < old_size:
            cut = Op("cut", file, size=size, needs=self.of(file, "cut"))
            cut.idle = self.may_end_at(file, size)
            page = file, size // PAGE
            if size % PAGE and page in self.blocks and self.model not in IN_ORDER:
                end = min(old_size, (page[1] + 1) * PAGE)
                before = len(self.ops)
                self.write_page(file, size, bytes(end - size))
                zeroed = self.model.startswith("ext4") and self.model != "ext4-writeback"
                if zeroed and self.blocks[page] <= self.durable:
                    cut.needs |= set(self.ops[before:])
            cut.own_needs = set(cut.needs)
            self.add(cut, waits=True, orders=True)
            kept = -(-size // PAGE)
            self.blocks = {
                key: ops for key, ops in self.blocks.items() if key[0] != file or key[1] < kept
            }
        elif self.model not in (*IN_ORDER, "xfs") and self.growths(file) - self.durable:
            self.add(
                Op("grow", file, size=size, needs=self.of(file, "cut")), waits=True, orders=True
            )
        self.sizes[file] = size

    def change(
        self, node: int, gone: bytes = b"", given: bytes = b"", *, creates: bool = False
    ) -> Op:
        replaced = {self.names[given]} if given in self.names else set()
        op = Op("names", gone=gone, given=given, node=node, creates=creates)
        op.nodes = frozenset({node, *replaced})
        self.names.pop(gone, None)
        if given:
            self.names[given] = node
        return self.add(op, waits=True, orders=True)

    def rename(self, record: Rename) -> None:
        moved, replaced = self.names[record.source], self.names.get(record.destination)
        op = self.change(moved, record.source, record.destination)
        if replaced is not None:
            self.replaced.add(replaced)
        allocates = ("ext4-datajournal", "ext4-dioread_lock", "ext4-ordered")
        if replaced is not None and self.model in allocates:
            op.needs |= self.growths(moved)
            if self.model == "ext4-dioread_lock":
                new = {
                    page
                    for (file, page), ops in self.blocks.items()
                    if file == moved and not ops <= self.durable
                }
                op.needs |= {one for one in self.of(moved, "data") if one.page in new}

    # What is durable

    def sync(self, record: Sync) -> None:
        if record.file is None:
            if self.model.startswith("ext4"):
                self.make_durable({op for op in self.ops if op.orders})
            else:
                self.make_durable({op for op in self.ops if op.kind == "names"})
            return
        if record.file in self.replaced and self.model in FREE:
            return
        wanted = self.of(record.file, "data", "grow", "cut")
        if self.model in LOGGED:
            only_creation = record.data_only and self.model != "xfs"
            wanted |= {
                op
                for op in self.ops
                if record.file in op.nodes and (op.creates or not only_creation)
            }
            if only_creation:
                self.leave_idle(wanted)
        self.make_durable(wanted)

    def leave_idle(self, wanted: set[Op]) -> None:
        """A cut that changes nothing on disk is there without the log, unless more is committed."""
        idle = [op for op in self.ops if op in wanted - self.durable and op.idle]
        for cut in idle:
            end = -(-cut.size // PAGE) * PAGE
            before = {op for op in wanted if self.ops.index(op) < self.ops.index(cut)}
            wanted -= {op for op in before if op.kind != "data" or op.offset >= end} - {
                op for op in before if op.kind == "names"
            }
            cut.needs = cut.own_needs

    def make_durable(self, ops: set[Op]) -> None:
        self.collect()
        while ops:
            self.durable |= ops
            ops = {needed for op in ops for needed in op.needs} - self.durable
