"""What a sync puts into btrfs's log tree of names: how they are now, not how they came to be.

A sync of a file takes the names that it has, and takes away those that it had; what names it had
in between, and what stood there before, is as if the file had never been there. A sync of a
directory takes the directory's entries, and of each file that got one all its names; but a name
that the file had in a directory where it has none now is left where it is. A name is not taken
from a file without the names that the file has instead, nor put into a new directory without that.

Source: `fs/btrfs/tree-log.c` (`btrfs_log_inode_parent`, `log_new_dir_dentries`,
`add_conflicting_inode`, `unlink_old_inode_refs`), and cuts on Linux 6.18.
"""

from collections.abc import Iterable, Iterator

from durability.crash.operations import Entry, Names, Operation, Slot
from durability.crash.storage import Directories


class LoggedNames:
    """The names that one sync makes durable, of those of a run that are `pending`.

    `directories` are those on disk, `now` those that processes see.
    """

    def __init__(
        self, pending: list[Operation], directories: Directories, now: Directories
    ) -> None:
        self._pending = pending
        self._names = [operation for operation in pending if isinstance(operation, Names)]
        self._directories = directories
        self._now = now
        self._new = {node for names in self._names if names.creates for node in names.nodes}
        self._slots: set[Slot] = set()
        self._nodes: set[int] = set()
        self._left: set[Entry] = set()
        self._loose: set[int] = set()

    def __bool__(self) -> bool:
        """Whether something becomes durable."""
        return bool(self._slots or self._left)

    def add_file(self, file: int) -> None:
        """Take a file's names, and take away those that it had."""
        self._add_node(file)
        self._left.update(self._left_by(file))

    def add_directory(self, directory: int) -> None:
        """Take a directory's entries and its own name, and let what is new below be taken."""
        self.add_file(directory)
        slots = self._slots_of(directory)
        self._add_slots(slots)
        for slot in slots:
            node = self._now.get(slot)
            if node is not None:
                self._add_node(node)
                self._loosen(node)

    def _slots_of(self, directory: int) -> set[Slot]:
        return {
            slot
            for names in self._names
            for slot, _ in (*names.taken, *names.given)
            if slot[0] == directory
        }

    def _loosen(self, node: int) -> None:
        """Let what is new in a new directory be durable without what the log has before it."""
        if node in self._loose or node not in self._new:
            return
        self._loose.add(node)
        for slot in self._slots_of(node):
            below = self._now.get(slot)
            if below is not None:
                self._loosen(below)

    def _add_node(self, node: int) -> None:
        """Take the names of a node, and take away those that it had beside them."""
        if node in self._nodes:
            return
        self._nodes.add(node)
        standing = [
            slot
            for names in self._names
            if node in names.nodes
            for slot, given in names.given
            if given == node == self._now.get(slot)
        ]
        beside = {slot[0] for slot in standing}
        self._left.update(entry for entry in self._left_by(node) if entry[0][0] in beside)
        self._add_slots(standing)

    def _left_by(self, node: int) -> Iterator[Entry]:
        """Yield the names that a node may have on disk and has no more."""
        for names in self._names:
            for slot, held in (*names.taken, *names.given):
                if held == node != self._now.get(slot):
                    yield slot, node

    def _add_slots(self, slots: Iterable[Slot]) -> None:
        for slot in slots:
            if slot in self._slots:
                continue
            self._slots.add(slot)
            displaced = self._directories.get(slot)
            if displaced is not None and displaced != self._now.get(slot):
                self._add_node(displaced)
            if slot[0] in self._new:
                self._add_node(slot[0])

    def settle(self) -> None:
        """Put all of this on disk, and leave in what is pending only what that does not decide."""
        for slot, node in self._left:
            self._directories.take(slot, node)
        for slot in self._slots:
            before, now = self._directories.get(slot), self._now.get(slot)
            if now is not None:
                self._directories.give(slot, now)
            elif before is not None:
                self._directories.take(slot, before)
        for names in self._names:
            names.taken = self._undecided(names.taken)
            names.given = self._undecided(names.given)
            if not names.taken and not names.given:
                names.settle()
            elif any(slot[0] in self._loose for slot, _ in names.given):
                self._let_go(names)

    def _let_go(self, names: Names) -> None:
        """Let an operation be durable without what the log has before it, as far as it gives."""
        names.after = None
        leaving = names.leaving(names.given[0][0][0])
        if leaving is not None:
            self._pending.insert(self._pending.index(names) + 1, leaving)

    def _undecided(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return tuple(
            entry for entry in entries if entry[0] not in self._slots and entry not in self._left
        )
