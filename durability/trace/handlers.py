"""Which method answers which notified call."""

import errno
import os
from collections.abc import Callable
from functools import partial
from typing import Final

from durability.trace.filter import NUMBER
from durability.trace.notification import Notification
from durability.trace.processes import Process

_HANDLED_AS: Final = {
    **dict.fromkeys(("vfork",), "fork"),
    **dict.fromkeys(("execveat",), "execve"),
    **dict.fromkeys(("setreuid", "setresuid", "setfsuid"), "setuid"),
    **dict.fromkeys(("pivot_root", "mount"), "chroot"),
    **dict.fromkeys(("io_uring_setup", "io_setup"), "refuse"),
}
_COPIES: Final = {
    "copy_file_range": errno.EXDEV,
    "splice": errno.EINVAL,
    "sendfile": errno.EINVAL,
    "ioctl": errno.EOPNOTSUPP,
}

Handler = Callable[[Notification, Process], int]
"""Takes a waiting call and its process; returns the result, or `LET_RUN`, or raises its errno."""


def handlers(*owners: object) -> dict[int, Handler]:
    """Return the handler of each notified call by its number."""
    found: dict[int, Handler] = {}
    for name, number in NUMBER.items():
        if name in _COPIES:
            found[number] = partial(_fail, error=_COPIES[name])
            continue
        method = _HANDLED_AS.get(name, name)
        for owner in owners:
            if hasattr(owner, method):
                found[number] = getattr(owner, method)
    return found


def _fail(_call: Notification, _process: Process, *, error: int) -> int:
    """Refuse a copy between descriptors: programs fall back to reading and writing."""
    raise OSError(error, os.strerror(error))
