"""The log that a file system commits in order, and the place of micro-operations in it."""

from durability.crash.models import Model
from durability.crash.operations import Operation


class OperationLog:
    """The log of a model, filled by the records of one run.

    `record` is the place in its trace of the record that is being split; `head` the last operation
    that later ones wait for.
    """

    def __init__(self, model: Model) -> None:
        self.record = 0
        self.head: Operation | None = None
        self._model = model

    def append(self, operation: Operation, *, joins: bool) -> None:
        """Give an operation its place in the log; what comes later waits for it if it `joins`."""
        if not self._model.logged:
            return
        operation.after = self.head
        operation.joins = joins
        if joins:
            self.head = operation


def need(operation: Operation, needed: Operation | None) -> None:
    """Let an operation depend on another, unless that is durable already or there is none."""
    if needed is not None and not needed.durable and needed not in operation.needs:
        operation.needs.append(needed)
