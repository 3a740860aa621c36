"""Where work is done that a disk would only slow down."""

import os
import shutil
import tempfile
from typing import Final

_RAM_DISK: Final = "/dev/shm"  # noqa: S108 - directories made in it are private and removed
_FREE_BYTES_MIN: Final = 1 << 28


def ram_disk() -> str:
    """Return a RAM disk with room, else the temporary directory: a kill loses no page cache."""
    try:
        free = shutil.disk_usage(_RAM_DISK).free
    except OSError:
        free = 0
    usable = free >= _FREE_BYTES_MIN and os.access(_RAM_DISK, os.W_OK | os.X_OK)
    return _RAM_DISK if usable else tempfile.gettempdir()
