"""Where a call's path argument leads, as the calling thread sees it."""

import errno
import os
from typing import Final

from durability.trace.processes import Process

_AT_FDCWD: Final = 0xFFFFFF9C


class Paths:
    """Resolves paths against one watched root.

    `root` is an absolute path without symbolic links.
    """

    def __init__(self, root: bytes) -> None:
        self.root = root
        self._below = root + b"/"
        self._plain = {root}  # directories known to be reached without a symbolic link

    def resolve(self, process: Process, thread: int, directory: int, address: int) -> bytes:
        """Return the absolute path of an `*at` call's argument; its last name is not followed.

        `directory` is the call's directory descriptor. Raises OSError as the kernel does.
        """
        name = process.memory.read_string(address)
        if not name:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        if not name.startswith(b"/"):
            name = os.path.join(self.directory(thread, directory), name)
        elif name.startswith((b"/proc/self/", b"/proc/thread-self/")):
            # These links lead every reader to itself: here, to the supervisor.
            kind, rest = name.split(b"/", 3)[2:]
            own = b"%d" if kind == b"self" else b"%d/task/%d"
            numbers = (process.number,) if kind == b"self" else (process.number, thread)
            name = b"/proc/" + own % numbers + b"/" + rest
        parent, last = os.path.split(name.rstrip(b"/"))
        if parent in self._plain and last not in (b"", b".", b".."):
            return parent + b"/" + last
        if last in (b"", b".", b".."):
            return os.path.realpath(name)
        resolved = os.path.realpath(parent)
        if resolved == parent and resolved.startswith(self._below):
            self._plain.add(resolved)
        return os.path.join(resolved, last)

    def directory(self, thread: int, descriptor: int) -> bytes:
        """Return the path of a thread's directory descriptor, or of its working directory."""
        descriptor &= 0xFFFFFFFF
        if descriptor == _AT_FDCWD:
            return os.readlink(b"/proc/%d/cwd" % thread)
        return os.readlink(b"/proc/%d/fd/%d" % (thread, descriptor))

    def relative(self, path: bytes) -> bytes | None:
        """Return a path relative to the root; None where it lies outside."""
        if path.startswith(self._below):
            return path[len(self._below) :]
        return b"" if path == self.root else None

    def forget(self) -> None:
        """Drop what is known of directories: one of them moved, or a symbolic link was made."""
        self._plain = {self.root}
