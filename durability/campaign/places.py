"""Where work is done: not on a disk, which would only slow it down, and not on a full one."""

import os
import shutil
import tempfile
from typing import Final

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


def require_room(directory: str) -> None:
    """Raise InconclusiveError where the disk is full: then it is not the target that failed."""
    state = os.statvfs(directory)
    if state.f_bavail * state.f_frsize < _ROOM_BYTES_MIN or (state.f_files and not state.f_favail):
        raise InconclusiveError(f"no space is left on the device of {directory}")
