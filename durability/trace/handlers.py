"""Which method answers which notified call."""

from collections.abc import Callable
from typing import Final

from durability.trace.filter import NUMBER
from durability.trace.notification import Notification
from durability.trace.processes import Process

_HANDLED_AS: Final = {
    **dict.fromkeys(("vfork",), "fork"),
    **dict.fromkeys(("execveat",), "execve"),
    **dict.fromkeys(("setreuid", "setresuid", "setfsuid"), "setuid"),
    **dict.fromkeys(("pivot_root", "mount", "move_mount", "setns"), "name"),
    **dict.fromkeys(("chroot", "pidfd_getfd", "open_by_handle_at"), "name"),
    **dict.fromkeys(("io_uring_setup", "io_setup"), "refuse"),
}

Handler = Callable[[Notification, Process], int]
"""Takes a waiting call and its process; returns the result, or `LET_RUN`, or raises its errno."""


def handlers(*owners: object) -> dict[int, Handler]:
    """Return the handler of each notified call by its number."""
    found: dict[int, Handler] = {}
    for name, number in NUMBER.items():
        method = _HANDLED_AS.get(name, name)
        for owner in owners:
            if hasattr(owner, method):
                found[number] = getattr(owner, method)
    return found
