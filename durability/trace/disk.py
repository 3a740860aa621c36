"""The disk as a run meets it: it does what it is asked, but for one failure where one is ordered.

Handlers ask before they act. That a call met the failure is recorded (`Failed`): it is the evidence
that the fault landed.
"""

import os

from durability.trace.durable import durable_content
from durability.trace.failure import CallHeld, DiskFailure, FailureOrder
from durability.trace.records import Failed, Truncate, Write
from durability.trace.tape import Tape


class Disk:
    """One run's disk. `met` are the calls and paths that an order for none could have met."""

    def __init__(self, order: FailureOrder | None, tape: Tape) -> None:
        self.may_fail = order is not None
        self.met: list[tuple[str, bytes]] = []
        self.failed = False
        self._order = FailureOrder("write-eio", 0) if order is None else order
        self._tape = tape
        self._count = 0
        self._held: set[int] = set()
        self._owes_error = False

    @property
    def is_holding(self) -> bool:
        """Whether a call waits for an answer that it will not get."""
        return bool(self._held)

    def holds(self, threads: set[int]) -> bool:
        """Tell whether all of these threads wait for such an answer."""
        return threads <= self._held

    def change(self, thread: int, call: str, path: bytes, *, grows: bool) -> None:
        """Permit a change of a name or a size. Raises DiskFailure."""
        if self._meets(call, path, needs_room=grows, grows=grows):
            self._note(thread, call, path)
            raise DiskFailure(self._order.failure)

    def write(self, thread: int, path: bytes, length: int, *, grows: bool) -> int:
        """Say how many bytes of a write are taken, one at least. Raises DiskFailure."""
        failure = self._order.failure
        if failure == "write-short":
            if length < 2 or not self._reaches("write", path):
                return length
        elif not self._meets("write", path, needs_room=True, grows=grows):
            return length
        is_first = not self.failed
        self._note(thread, "write", path)
        if failure == "write-eio" or not is_first or length < 2:
            raise DiskFailure(failure)
        # What fits is taken, without an error: that comes with the next call.
        self._owes_error = failure == "write-enospc"
        return length // 2

    def sync(self, thread: int, path: bytes, file: int | None, descriptor: int) -> None:
        """Permit the sync of a file or directory. Raises DiskFailure or CallHeld.

        A thread whose call was held and taken back by a signal asks again: it is held again.
        """
        if thread in self._held:
            raise CallHeld
        failure = self._order.failure
        if not failure.startswith("sync") or not self._reaches("fsync", path):
            return
        self._note(thread, "fsync", path, file)
        if failure == "sync-stalled":
            self._held.add(thread)
            raise CallHeld
        if failure == "sync-eio-reverted" and file is not None:
            self._revert(thread, path, file, descriptor)
        raise DiskFailure(failure)

    def _meets(self, call: str, path: bytes, *, needs_room: bool, grows: bool) -> bool:
        match self._order.failure:
            case "write-eio":
                may_meet = True
            case "write-enospc":
                may_meet = needs_room
            case "disk-full":
                may_meet = grows
            case _:
                may_meet = False
        if not self.may_fail or not may_meet:
            return False
        if self._owes_error:
            self._owes_error = False
            return True
        return self._reaches(call, path)

    def _reaches(self, call: str, path: bytes) -> bool:
        """Count a call; tell whether it is the one, or behind it where that is enough."""
        order = self._order
        self._count += 1
        if not order.at:
            self.met.append((call, path))
            return False
        if order.failure == "disk-full":
            return self._count >= order.at
        return self._count == order.at

    def _note(self, thread: int, call: str, path: bytes, file: int | None = None) -> None:
        if not self.failed:  # a caller that tries a full disk again and again would fill the trace
            self._tape.add(Failed(thread, call, path, self._order.failure, file))
        self.failed = True

    def _revert(self, thread: int, path: bytes, file: int, descriptor: int) -> None:
        """Give a file the content that is durable, in the cache too."""
        tape = self._tape
        content = durable_content(tape.initial, tape.records, file)
        # By a descriptor of its own: the target's may append, or not be for writing.
        own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY)
        try:
            os.ftruncate(own, 0)
            os.pwrite(own, content, 0)
        finally:
            os.close(own)
        tape.add(Truncate(thread, file, path, 0))
        if content:
            tape.add_write(Write(thread, file, path, 0, content, len(content)))
