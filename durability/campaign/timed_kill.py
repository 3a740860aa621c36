"""Killing by the clock, where the exact mechanism is not to be had: a run, a time, SIGKILL.

Nothing is traced: what the kill left is read from the disk, and where it cut is not known. It tears
hardly ever, and most of its kills fall where nothing happens; it is here for kernels that refuse
seccomp listeners, and to compare with.
"""

import os
import signal
import time
from typing import Final

from durability.recovery import process
from durability.targets.contract import Launch
from durability.trace.kill_order import KillOrder
from durability.trace.records import AnyRecord, Kill, Output
from durability.trace.supervisor import Run
from durability.trace.trace import Trace
from durability.trace.tree import initial_records

MICROSECONDS: Final = 1_000_000


class Timer:
    """Runs targets as a `Supervisor` does, but an order's offset is a time in microseconds."""

    def run(
        self, launch: Launch, root: str, order: KillOrder | None = None, deadline_s: float = 60.0
    ) -> Run:
        """Start a target and kill it when its time has come, at the deadline at the latest.

        Raises TargetError where it cannot be started.
        """
        began = time.monotonic()
        time_s = deadline_s if order is None else min(deadline_s, order.offset / MICROSECONDS)
        ended = process.run(launch, timeout_s=time_s)
        killed = ended.exit_status is None and ended.signal is None
        found = initial_records(os.fsencode(root), lambda status: status.st_ino)
        records: list[AnyRecord] = [Output(ended.stdout)]
        if killed:
            length = Trace(found, found).stream_bytes()
            records.append(Kill(length, 0, torn=False))
        return Run(
            Trace(found, records),
            reached=killed and order is not None,
            exit_status=ended.exit_status,
            signal=signal.SIGKILL if killed else ended.signal,
            stderr=ended.stderr.decode("utf-8", "backslashreplace"),
            differences=_unread(ended),
            elapsed_s=time.monotonic() - began,
            timed_out=killed and order is None,
        )


def _unread(ended: process.Ended) -> list[str]:
    """Say where the end of what was printed is missing: promises may stand there."""
    if ended.stdout_bytes <= len(ended.stdout):
        return []
    return [f"it printed {ended.stdout_bytes} bytes, of which {len(ended.stdout)} were kept"]
