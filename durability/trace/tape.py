"""The record of a run as it grows, and the place on it where the run is to be killed."""

import os
from typing import Final

from durability.trace.kill_order import KillOrder
from durability.trace.records import AnyRecord, Kill, Output, Write, is_change

_PIPE_BYTES: Final = 1 << 16
_PIPE_PARTS_MAX: Final = 16
"""A pipe holds 64 KiB; a target without privilege may enlarge it to 1 MiB."""


class KillReached(Exception):  # noqa: N818 - a signal to the supervisor's loop, not an error
    """The run ends here: what waits for an answer must not get one any more."""


class Tape:
    """Records in execution order.

    `initial` are those that build what was there before the run; `written` is the length
    of the write stream so far, `calls` the number of changes of names or sizes since its last byte;
    see `kill_order`. `source` is the line that makes the present call, where it is known, `sources`
    holds those of the records by their places.
    """

    def __init__(self, order: KillOrder | None) -> None:
        self.order = order
        self.initial: list[AnyRecord] = []
        self.records: list[AnyRecord] = []
        self.source = ""
        self.sources: dict[int, str] = {}
        self.written = 0
        self.calls = 0
        self.reached = False
        self._torn = False

    def add(self, record: AnyRecord) -> None:
        """Append what was done, other than a write. Raises KillReached where it is due."""
        self._append(record)
        if is_change(record):
            self.calls += 1
            order = self.order
            if order is not None and self.written == order.offset and self.calls >= order.calls > 0:
                self.reach()

    def add_write(self, record: Write) -> None:
        """Append a write that was made; whether to go on is for the caller, who knows the cut."""
        self._append(record)
        self.written += len(record.data)
        self.calls = 0

    def _append(self, record: AnyRecord) -> None:
        if self.source:
            self.sources[len(self.records)] = self.source
        self.records.append(record)

    def hear(self, descriptor: int) -> bool:
        """Append what the target printed, without waiting; tell whether more may come."""
        for _ in range(_PIPE_PARTS_MAX):
            try:
                data = os.read(descriptor, _PIPE_BYTES)
            except BlockingIOError:
                return True
            if data:
                self.records.append(Output(data))
            if len(data) < _PIPE_BYTES:
                return bool(data)
        return True

    def reach(self, *, torn: bool = False) -> None:
        """Raise KillReached: the ordered position is reached, perhaps within a write."""
        self.reached = True
        self._torn = torn
        raise KillReached

    def miss(self) -> None:
        """Raise KillReached, though the ordered position does not exist in this run."""
        raise KillReached

    def kill(self) -> None:
        """Append the record of the kill, made at the present position."""
        self.records.append(Kill(self.written, self.calls, self._torn))
