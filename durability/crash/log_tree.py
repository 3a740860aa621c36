"""What a sync puts into btrfs's log tree of names: how they are now, not how they came to be.

A sync of a file takes the names that it has, and takes away those that it had; of names that it
had in between nothing is kept. A sync of a directory takes its entries. Of the files that got one
it may take all names, and leave a name where it is that the file had in another directory; whether
it does depends on when the last transaction ended. A name is not taken from a file without those
that the file had then, nor put into a new directory without that.

Source: `fs/btrfs/tree-log.c` (`btrfs_log_inode_parent`, `log_new_dir_dentries`,
`add_conflicting_inode`, `unlink_old_inode_refs`), and cuts on Linux 6.18.
"""

from collections.abc import Iterator

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
        self._decided: dict[Slot, int | None] = {}
        self._until: dict[Slot, int] = {}
        self._left: set[Entry] = set()
        self._loose: set[int] = set()

    def __bool__(self) -> bool:
        """Whether something becomes durable."""
        return bool(self._decided or self._left)

    def add_file(self, file: int) -> None:
        """Take a file's names, and take away those that it had."""
        self._add_names(file)
        for names in self._names:
            entries = (*names.taken, *names.given)
            self._left.update(
                (slot, node) for slot, node in entries if node == file != self._now.get(slot)
            )

    def add_directory(self, directory: int) -> None:
        """Take a directory's entries and its own name."""
        self.add_file(directory)
        for slot in self._slots_of(directory):
            node = self._now.get(slot)
            self._decide(slot, node, len(self._names))
            self._loosen(node)

    def _slots_of(self, directory: int) -> set[Slot]:
        return {
            slot
            for names in self._names
            for slot, _ in (*names.taken, *names.given)
            if slot[0] == directory
        }

    def _add_names(self, node: int) -> None:
        for names in self._names:
            if node in names.nodes:
                for slot, given in names.given:
                    if given == node == self._now.get(slot):
                        self._decide(slot, node, len(self._names))

    def _decide(self, slot: Slot, node: int | None, until: int) -> None:
        """Put on disk what a name stands for, whatever the first `until` changes did to it."""
        if self._until.get(slot, -1) >= until:
            return
        self._until[slot], self._decided[slot] = until, node
        displaced = self._directories.get(slot)
        if displaced is not None and displaced != node:
            self._keep(displaced, slot)
        if node is not None and slot[0] in self._new:
            self._add_names(slot[0])

    def _keep(self, node: int, taken: Slot) -> None:
        """Put on disk the names that a node had when the one it has on disk was taken from it."""
        held: set[Slot] = set()
        for number, names in enumerate(self._names):
            held.difference_update(slot for slot, other in names.taken if other == node)
            held.update(slot for slot, other in names.given if other == node)
            if (taken, node) in names.taken:
                for slot in held:
                    self._decide(slot, node, number + 1)
                return

    def _loosen(self, node: int | None) -> None:
        """Let a node's names, and those in a new directory, be taken without what was before."""
        if node is None or node in self._loose:
            return
        self._loose.add(node)
        if node in self._new:
            for slot in self._slots_of(node):
                self._loosen(self._now.get(slot))

    def settle(self) -> None:
        """Put all of this on disk, and leave in what is pending only what that does not decide."""
        for slot, node in self._left:
            self._directories.take(slot, node)
        for slot, now in self._decided.items():
            before = self._directories.get(slot)
            if now is not None:
                self._directories.give(slot, now)
            elif before is not None:
                self._directories.take(slot, before)
        for number, names in enumerate(self._names):
            names.taken = tuple(self._undecided(names.taken, number))
            names.given = tuple(self._undecided(names.given, number))
            if not names.taken and not names.given:
                names.settle()
            elif names.nodes & self._loose:
                self._let_go(names)

    def _undecided(self, entries: tuple[Entry, ...], number: int) -> Iterator[Entry]:
        for entry in entries:
            if entry not in self._left and self._until.get(entry[0], 0) <= number:
                yield entry

    def _let_go(self, names: Names) -> None:
        """Let an operation be durable without what the log has before it, as far as it gives."""
        names.after = None
        for directory in {slot[0] for slot, _ in names.given}:
            leaving = names.leaving(directory)
            if leaving is not None:
                self._pending.insert(self._pending.index(names) + 1, leaving)
