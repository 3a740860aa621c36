"""What is durable at a moment, and what is not yet: the state of a disk under a model.

Fed with the records of a run, one by one; whoever feeds it may stop at each moment. However long
the run: what has become durable is folded into `directories` and `images`, and only what is
`pending` is remembered.
"""

from collections.abc import Iterable, Iterator

from durability.crash.log_tree import LoggedNames
from durability.crash.models import Model, NameOrder
from durability.crash.operations import ROOT, Data, FileOperation, Names, Operation, Shift, Shrink
from durability.crash.splitting import Splitter
from durability.crash.storage import Directories, Image
from durability.crash.syncing import commits_changes_only, synced, synced_node
from durability.trace.records import AnyRecord


class Persistence:
    """A disk under a model: `directories` and `images` are durable, `pending` is not yet.

    `pending` is in the order of execution. `version` rises whenever something becomes durable.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.directories = Directories()
        self.images: dict[int, Image] = {}
        self.pending: list[Operation] = []
        self.version = 0
        self._splitter = Splitter(model)
        self._has_log_tree = model.names is NameOrder.LOG_TREE

    @property
    def symlinks(self) -> dict[int, bytes]:
        """The contents of symbolic links, by number."""
        return self._splitter.symlinks

    def begin(self, records: Iterable[AnyRecord]) -> None:
        """Take what was there before the run as durable."""
        for record in records:
            self.pending += self._splitter.split(record, -1)
        self._settle(self.pending)

    def feed(self, record: AnyRecord, number: int) -> Iterator[None]:
        """Follow one record; stop at each moment after which less may be lost than before.

        A power cut during the call, or before the next one, leaves a state of such a moment or of
        the one that `pending` ends in.
        """
        for operation in self._splitter.split(record, number):
            self.pending.append(operation)
            if self.model.everything_at_once:
                yield
                self._settle(self.pending)
            elif self.model.names is NameOrder.AT_ONCE and isinstance(operation, Names):
                yield
                self._settle([operation])
        wanted = synced(self.model, record, self.pending, self._splitter)
        node = synced_node(record, self._splitter) if self._has_log_tree else None
        names = None if node is None else self._logged(node)
        if wanted or names:
            yield
            if names:
                names.settle()
            self._settle(self._closure(wanted, commits_changes_only(self.model, record)))
        if node is not None and node > ROOT:
            self._enter_log_tree(node)

    def _logged(self, node: int) -> LoggedNames:
        """Return the names that a sync of a file or directory puts into the log tree."""
        names = LoggedNames(self.pending, self.directories, self._splitter.names)
        if node <= ROOT:
            names.add_directory(node)
        elif self._splitter.is_named(node):
            names.add_file(node)
        return names

    def _enter_log_tree(self, file: int) -> None:
        """Let what a log tree may hold now be durable without what the log has before it.

        It takes all that is on disk of a file, though a write waits for its own bytes only, and
        with a file directories that lead to it, with some of what is new in them.
        """
        for operation in self.pending:
            if isinstance(operation, Names) or (
                isinstance(operation, FileOperation) and operation.file == file
            ):
                operation.after = None

    def _closure(self, wanted: Iterable[Operation], changes_only: bool) -> list[Operation]:
        """Return operations with all that becomes durable with them, in order.

        With `changes_only` an idle truncation does without the log before it, unless something
        behind it in the log does so too.
        """
        found: set[int] = set()
        waiting = list(wanted)
        while waiting:
            operation = waiting.pop()
            if operation.durable or id(operation) in found:
                continue
            found.add(id(operation))
            if self._has_log_tree or (changes_only and _is_idle(operation)):
                waiting += operation.needs
                continue
            waiting += operation.missing()
            before = operation.after
            while before is not None and _is_idle(before):
                before = before.after
                waiting += [] if before is None else [before]
        return [operation for operation in self.pending if id(operation) in found]

    def _names_before(self, names: Names) -> Iterator[Names]:
        for operation in self.pending:
            if operation is names:
                return
            if isinstance(operation, Names):
                yield operation

    def _settle(self, operations: list[Operation]) -> None:
        """Make operations durable, in order."""
        for operation in operations:
            operation.settle()
            if isinstance(operation, Names):
                self.directories.apply(operation)
                self._supersede_names(operation)
                continue
            assert isinstance(operation, FileOperation)
            self.images.setdefault(operation.file, Image()).apply(operation)
            if isinstance(operation, Shrink | Shift):
                self._supersede(operation)
        self.pending = [operation for operation in self.pending if not operation.durable]
        self.version += 1

    def _supersede(self, change: Shrink | Shift) -> None:
        """Take back what was issued before a truncation or shift that is durable now.

        It would be applied after that from now on. Data in front of where the file was changed is
        not touched by it.
        """
        start = change.end if isinstance(change, Shrink) else change.offset
        for operation in self.pending:
            if operation is change:
                return
            if not isinstance(operation, FileOperation) or operation.file != change.file:
                continue
            if not isinstance(operation, Data) or operation.offset >= start:
                operation.settle()

    def _supersede_names(self, names: Names) -> None:
        """Take back what earlier changes, which are not durable, did to the same names."""
        given = {slot for slot, _ in names.given}
        for earlier in self._names_before(names):
            if earlier.durable:
                continue
            earlier.taken = tuple(entry for entry in earlier.taken if entry[0] not in given)
            earlier.given = tuple(
                entry
                for entry in earlier.given
                if entry[0] not in given and entry not in names.taken
            )
            if not earlier.taken and not earlier.given:
                earlier.settle()


def _is_idle(operation: Operation) -> bool:
    return isinstance(operation, Shrink) and operation.idle
