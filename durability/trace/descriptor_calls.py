"""Calls on descriptors of watched files: given out, duplicated, locked, closed.

Handlers answer as those of `file_calls` do.
"""

import errno
import fcntl
import os
from contextlib import suppress

from durability.trace.files import Files, OpenFile
from durability.trace.filter import BASE, STANDARD_MAX
from durability.trace.notification import LET_RUN, Listener, Notification
from durability.trace.processes import Process
from durability.trace.records import Untraceable
from durability.trace.tape import Tape
from durability.trace.volatile import Volatile


class DescriptorCalls:
    """Which number means which file, to whom."""

    def __init__(
        self,
        listener: Listener,
        files: Files,
        tape: Tape,
        volatile: Volatile,
        *,
        standard_too: bool,
    ) -> None:
        self._listener = listener
        self._files = files
        self._tape = tape
        self._volatile = volatile
        self._standard_too = standard_too

    def install(self, call: Notification, process: Process, opened: OpenFile, flags: int) -> int:
        """Give the caller an open file at a number of its own. Raises EMFILE."""
        number = self._files.reserve(process.number)
        try:
            return self._install_at(call, opened, number, flags)
        except OSError as error:
            self._files.give_back(number)
            if error.errno != errno.EBADF:
                raise
            if self._files.release_unheld():
                return self.install(call, process, opened, flags)
            self._tape.add(Untraceable(call.thread, "open beyond RLIMIT_NOFILE", opened.path))
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from error

    def _install_at(self, call: Notification, opened: OpenFile, number: int, flags: int) -> int:
        self._listener.install(call.id, opened.descriptor, number, flags)
        self._files.add(number, opened)
        return number

    def close(self, call: Notification, _process: Process) -> int:
        """Arguments: descriptor."""
        self._files.closed(call.arguments[0])
        return LET_RUN

    def close_range(self, _call: Notification, _process: Process) -> int:
        """Arguments: first, last, flags: a silent close of many."""
        self._files.holders_unknown = True
        return LET_RUN

    # Duplicating

    def dup(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor."""
        return self._duplicate(call, process, 0)

    def dup2(self, call: Notification, _process: Process) -> int:
        """Arguments: descriptor, number."""
        return self._duplicate_to(call, 0)

    def dup3(self, call: Notification, _process: Process) -> int:
        """Arguments: descriptor, number, flags."""
        return self._duplicate_to(call, call.arguments[2] & os.O_CLOEXEC)

    def _duplicate(self, call: Notification, process: Process, flags: int) -> int:
        opened = self._files.get(call.thread, call.arguments[0])
        return LET_RUN if opened is None else self.install(call, process, opened, flags)

    def _duplicate_to(self, call: Notification, flags: int) -> int:
        source, number = (argument & 0xFFFFFFFF for argument in call.arguments[:2])
        opened = self._files.get(call.thread, source)
        if source == number:
            return LET_RUN
        if opened is not None and number >= BASE:
            if self._files.is_retired(number):
                self._tape.add(Untraceable(call.thread, f"dup2 over {number}", opened.path))
            return self._install_at(call, opened, number, flags)
        if opened is not None:
            self._lower(call, opened, number)
        elif number >= BASE:
            self._replace(call, number)
        return LET_RUN

    def _lower(self, call: Notification, opened: OpenFile, number: int) -> None:
        """Follow a file to a low number, where the filter can tell it from a pipe."""
        if self._standard_too and number <= STANDARD_MAX:
            with suppress(PermissionError):
                self._files.become_standard(opened)
                return
        self._tape.add(Untraceable(call.thread, f"dup2 to {number}", opened.path))

    def _replace(self, call: Notification, number: int) -> None:
        """Note that a number of ours comes to mean something that is not."""
        replaced = self._files.get(call.thread, number)
        if replaced is not None and self._files.holders_unknown:
            self._tape.add(Untraceable(call.thread, f"dup2 over {number}", replaced.path))
        else:
            self._files.retire(number)

    # Copying from file to file: programs fall back to reading and writing

    def copy_file_range(self, call: Notification, _process: Process) -> int:
        """Arguments: descriptor, offset, descriptor to write to."""
        return self._refuse_copy(call, call.arguments[2], errno.EXDEV)

    def splice(self, call: Notification, _process: Process) -> int:
        """Arguments: descriptor, offset, descriptor to write to."""
        return self._refuse_copy(call, call.arguments[2], errno.EINVAL)

    def sendfile(self, call: Notification, _process: Process) -> int:
        """Arguments: descriptor to write to."""
        return self._refuse_copy(call, call.arguments[0], errno.EINVAL)

    def ioctl(self, call: Notification, _process: Process) -> int:
        """FICLONE and FICLONERANGE. Arguments: descriptor to write to."""
        return self._refuse_copy(call, call.arguments[0], errno.EOPNOTSUPP)

    def _refuse_copy(self, call: Notification, number: int, error: int) -> int:
        if self._files.get(call.thread, number) is None:
            return LET_RUN
        raise OSError(error, os.strerror(error))

    # Flags and locks

    def fcntl(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, command, argument."""
        number, command, argument, *_ = call.arguments
        if command in (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC):
            flags = os.O_CLOEXEC if command == fcntl.F_DUPFD_CLOEXEC else 0
            if self._files.get(call.thread, number) is None and argument & 0xFFFFFFFF >= BASE:
                # The kernel chooses the number: in another process it may be a watched file's.
                self._tape.add(Untraceable(call.thread, "F_DUPFD among the watched numbers", b""))
            return self._duplicate(call, process, flags)
        if command != fcntl.F_SETFL:
            return self.flock(call, process)
        opened = self._files.get(call.thread, number)
        if opened is None:
            return LET_RUN
        # As at open: our copy of the bytes is not aligned as O_DIRECT demands.
        fcntl.fcntl(opened.descriptor, fcntl.F_SETFL, argument & 0xFFFFFFFF & ~os.O_DIRECT)
        return 0

    def flock(self, call: Notification, _process: Process) -> int:
        """Arguments: descriptor. No lock may live on in a copy of the file that only we hold."""
        self._files.release_unheld()
        if self._files.get(call.thread, call.arguments[0]) is not None:
            self._files.locks_in_use = True
        return LET_RUN

    def mmap(self, call: Notification, _process: Process) -> int:
        """Mmap of a watched file, shared and writable: its stores are not calls."""
        opened = self._files.get(call.thread, call.arguments[4])
        if opened is not None and opened.path not in self._volatile:
            self._tape.add(Untraceable(call.thread, "mmap", opened.path))
        return LET_RUN
