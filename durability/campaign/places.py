"""Where work is done: not on a disk, which would only slow it down, and not on a full one."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from durability.audit.violation import Violation
from durability.errors import InconclusiveError

_RAM_DISK: Final = "/dev/shm"  # noqa: S108 - directories made in it are private and removed
_FREE_BYTES_MIN: Final = 1 << 28
_ROOM_BYTES_MIN: Final = 1 << 16


def ram_disk() -> str:
    """Return a RAM disk with room, else the temporary directory: a kill loses no page cache."""
    try:
        free = shutil.disk_usage(_RAM_DISK).free
    except OSError:
        free = 0
    usable = free >= _FREE_BYTES_MIN and os.access(_RAM_DISK, os.W_OK | os.X_OK)
    return _RAM_DISK if usable else tempfile.gettempdir()


class Scratch:
    """A directory of one worker's own, at `path`, below one that the harness has made and removes.

    Whoever was killed removes nothing: then the last of its workers does it.
    """

    def __init__(self, parent: str) -> None:
        """Make it below the directory `parent`."""
        self._parent = parent
        self._harness = os.getppid()
        self.path = tempfile.mkdtemp(dir=parent)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if os.getppid() != self._harness:
            with suppress(OSError):
                os.rmdir(self._parent)


def require_room(directory: str, found: Iterable[Violation] = ()) -> None:
    """Raise InconclusiveError where the disk is full: then it is not the target that failed.

    It was full, too, where the target says so in what was `found` of it: others that work there may
    have made room since.
    """
    state = os.statvfs(directory)
    full = state.f_bavail * state.f_frsize < _ROOM_BYTES_MIN or (
        state.f_files and not state.f_favail
    )
    if full or any(os.strerror(errno.ENOSPC) in violation.message for violation in found):
        raise InconclusiveError(f"no space is left on the device of {directory}")
