"""The record of a run as it grows, and the place on it where the run is to be killed."""

import os

from durability.trace.kill_order import KillOrder
from durability.trace.records import AnyRecord, Kill, Output


class KillReached(Exception):  # noqa: N818 - a signal to the supervisor's loop, not an error
    """The ordered position is reached: what waits for an answer must not get one any more."""


class Tape:
    """Records in execution order.

    `written` is the length of the write stream so far, `calls` the number of changes of names or
    sizes since its last byte; see `kill_order`.
    """

    def __init__(self, order: KillOrder | None) -> None:
        self.order = order
        self.records: list[AnyRecord] = []
        self.written = 0
        self.calls = 0
        self.torn = False
        self.reached = False

    def note(self, record: AnyRecord) -> None:
        """Append what changes nothing that a kill leaves: an open, a sync, a mapping."""
        self.records.append(record)

    def change(self, record: AnyRecord) -> None:
        """Append a change of names or sizes that was made. Raises KillReached where it is due."""
        self.records.append(record)
        self.calls += 1
        order = self.order
        if order is not None and self.written == order.offset and self.calls >= order.calls > 0:
            self._reach()

    def cut(self, length: int, file_offset: int) -> int | None:
        """Return how many bytes of the coming write are let through before the kill."""
        if self.order is None:
            return None
        return self.order.cut(self.written, length, file_offset)

    def wrote(self, record: AnyRecord, length: int) -> None:
        """Append a write of `length` bytes that was made."""
        self.records.append(record)
        self.written += length
        self.calls = 0

    def cut_short(self, *, torn: bool) -> None:
        """Raise KillReached: the write that reaches the position has been made as far as asked."""
        self.torn = torn
        self._reach()

    def hear(self, descriptor: int) -> bool:
        """Append what the target printed, without waiting; tell whether more may come."""
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return True
        if data:
            self.records.append(Output(data))
        return bool(data)

    def kill(self) -> Kill:
        """Append and return the record of the kill, made at the present position."""
        record = Kill(self.written, self.calls, self.torn)
        self.records.append(record)
        return record

    def _reach(self) -> None:
        self.reached = True
        raise KillReached
