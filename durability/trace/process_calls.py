"""Calls by which a process changes what it is: it forks, executes, becomes another user.

Handlers answer as those of `file_calls` do.
"""

import errno
import os
import struct
from typing import Final

from durability.trace.files import Files
from durability.trace.filter import NUMBER
from durability.trace.notification import LET_RUN, Notification
from durability.trace.processes import Process, Processes
from durability.trace.records import Refused, Untraceable
from durability.trace.tape import Tape

_CLONE_FILES: Final = 0x400
_CLONE_ARGUMENTS: Final = struct.Struct("=Q")  # they begin with the flags
_NAME: Final = {number: name for name, number in NUMBER.items()}


class ProcessCalls:
    """What the supervisor must know of processes to act in their place."""

    def __init__(self, processes: Processes, files: Files, tape: Tape) -> None:
        self._processes = processes
        self._files = files
        self._tape = tape

    def fork(self, _call: Notification, _process: Process) -> int:
        """No arguments that matter: the child gets a descriptor table of its own."""
        return self._cloned(flags=0)

    def clone(self, call: Notification, _process: Process) -> int:
        """Arguments: flags."""
        return self._cloned(call.arguments[0])

    def clone3(self, call: Notification, process: Process) -> int:
        """Arguments: a structure."""
        (flags,) = process.memory.unpack(_CLONE_ARGUMENTS, call.arguments[0])
        return self._cloned(flags)

    def _cloned(self, flags: int) -> int:
        """A number of a process or thread that has ended may come again with the new one."""
        self._processes.forget()
        if not flags & _CLONE_FILES:
            self._files.holders_unknown = True
        return LET_RUN

    def execve(self, _call: Notification, _process: Process) -> int:
        """A program that is still open for writing cannot be executed; close-on-exec is silent."""
        self._processes.forget()
        self._files.release_unheld()
        self._files.holders_unknown = True
        return LET_RUN

    def setuid(self, _call: Notification, _process: Process) -> int:
        """Whatever the call's arguments: look at the process again when it acts."""
        self._processes.forget()
        return LET_RUN

    def umask(self, call: Notification, process: Process) -> int:
        """Arguments: mask."""
        process.umask = call.arguments[0] & 0o777
        return LET_RUN

    def name(self, call: Notification, _process: Process) -> int:
        """Whatever leads to files in a way that cannot be followed: by other paths, or by none."""
        self._tape.add(Untraceable(call.thread, _NAME[call.call], b""))
        return LET_RUN

    def refuse(self, call: Notification, _process: Process) -> int:
        """Fail as on a kernel that lacks io_uring or asynchronous I/O."""
        self._tape.add(Refused(call.thread, _NAME[call.call]))
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
