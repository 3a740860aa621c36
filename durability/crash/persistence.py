"""What is durable at a moment, and what is not yet: the state of a disk under a model.

Fed with the records of a run, one by one. It serves the explorer, which stops at each moment, and
a simulated disk, which goes on for ever: what has become durable is folded into `durable`, and
only what is `pending` is remembered.
"""

from collections.abc import Iterable, Iterator

from durability.crash.models import Model, NameOrder
from durability.crash.operations import (
    Data,
    FileOperation,
    Names,
    Operation,
    Shrink,
)
from durability.crash.splitting import Splitter
from durability.crash.storage import Directories, Image
from durability.crash.syncing import synced
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
                self._settle([operation])
        wanted = synced(self.model, record, self.pending, self._splitter)
        if wanted:
            yield
            self._settle(self._closure(wanted))

    def _closure(self, wanted: Iterable[Operation]) -> list[Operation]:
        """Return operations with all that they depend on, in order.

        A log tree takes what a sync asks for out of the log: then only `needs` count.
        """
        in_log = self.model.names is NameOrder.LOG
        found: set[int] = set()
        waiting = list(wanted)
        while waiting:
            operation = waiting.pop()
            if operation.durable or id(operation) in found:
                continue
            found.add(id(operation))
            waiting += operation.missing() if in_log else operation.needs
        return [operation for operation in self.pending if id(operation) in found]

    def _settle(self, operations: list[Operation]) -> None:
        """Make operations durable, in order."""
        for operation in operations:
            operation.settle()
            if isinstance(operation, Names):
                self.directories.apply(operation)
                continue
            assert isinstance(operation, FileOperation)
            self.images.setdefault(operation.file, Image()).apply(operation)
            if isinstance(operation, Shrink):
                self._supersede(operation)
        self.pending = [operation for operation in self.pending if not operation.durable]
        self.version += 1

    def _supersede(self, shrink: Shrink) -> None:
        """Take back what was issued before a truncation that is durable now, where it was cut.

        It is applied after it from now on.
        """
        for operation in self.pending:
            if operation is shrink:
                return
            if not isinstance(operation, FileOperation) or operation.file != shrink.file:
                continue
            if isinstance(operation, Data) and operation.offset < shrink.size:
                operation.data = operation.data[: shrink.size - operation.offset]
            else:
                operation.settle()
