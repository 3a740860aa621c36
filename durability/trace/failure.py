"""How a disk fails under a run: which call, counted from 1 among those that it may meet, and how.

| failure | may meet | what the caller sees |
|---|---|---|
| `write-eio` | every change: writes, sizes, names | EIO, and nothing is changed |
| `write-enospc` | every change that needs room | of a write half is taken; ENOSPC, once; room |
| `write-short` | writes of two bytes and more | half of it was taken: no error, by write(2) |
| `disk-full` | every change that makes something grow | likewise, but ENOSPC from there on |
| `sync-eio-kept` | fsync, fdatasync | EIO, once; the cache shows what is not on disk |
| `sync-eio-reverted` | fsync, fdatasync | EIO, once; the cache shows what was there before |
| `sync-stalled` | fsync, fdatasync | nothing: the call does not return |

A sync that fails is reported once. What it was to write counts as clean from then on, so a further
sync succeeds without having written it: ext4 and XFS keep it in the cache, btrfs shows the old
content (Rebello et al., USENIX ATC 2020). Names count as clean only once they are logged, so the
next sync of anything writes those of a directory whose sync failed.
"""

import errno
import os
from typing import Final, Literal

import msgspec

Failure = Literal[
    "write-eio",
    "write-enospc",
    "write-short",
    "disk-full",
    "sync-eio-kept",
    "sync-eio-reverted",
    "sync-stalled",
]

ERRNO: Final[dict[Failure, int]] = {
    "write-eio": errno.EIO,
    "write-enospc": errno.ENOSPC,
    "disk-full": errno.ENOSPC,
    "sync-eio-kept": errno.EIO,
    "sync-eio-reverted": errno.EIO,
}
"""What the call is answered with; the others are not answered with an error."""


class FailureOrder(msgspec.Struct, frozen=True):
    """Fail the `at`-th call that a failure may meet; with 0 none, and tell which there are."""

    failure: Failure
    at: int


class DiskFailure(OSError):  # noqa: N818 - it is the disk's, and the target's to handle
    """The error that a call of the target is answered with, by order."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(ERRNO[failure], os.strerror(ERRNO[failure]))


class CallHeld(Exception):  # noqa: N818 - a signal to the supervisor's loop, not an error
    """The call gets no answer as long as the run lasts."""
