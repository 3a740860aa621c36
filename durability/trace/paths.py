"""Where a call's path argument leads, as the calling thread sees it."""

import errno
import os
from typing import Final

from durability.trace.processes import Process

AT_FDCWD: Final = 0xFFFFFF9C
_LINKS_MAX: Final = 40


class Paths:
    """Resolves paths against one watched root.

    `root` is an absolute path without symbolic links, on the file system `device`.
    """

    def __init__(self, root: bytes) -> None:
        self.root = root
        self.device = os.stat(root).st_dev
        self._below = root + b"/"
        self._plain = {root}  # directories known to be reached without a symbolic link

    def resolve(self, process: Process, thread: int, directory: int, address: int) -> bytes:
        """Return the absolute path of an `*at` call's argument, its parents without links.

        The last name is not followed; a slash behind it, a `.` and a `..` stay for the kernel to
        judge. `directory` is the call's directory descriptor. Raises OSError as the kernel does.
        """
        name = process.memory.read_string(address)
        if not name:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        if not name.startswith(b"/"):
            name = os.path.join(self.directory(thread, directory), name)
        return self._resolved(process, thread, name)

    def follow(self, process: Process, thread: int, path: bytes) -> bytes:
        """Return where a resolved path leads when its last name is followed too."""
        for _ in range(_LINKS_MAX):
            bare = path.rstrip(b"/")
            if bare.endswith((b"/.", b"/..")):
                return os.path.realpath(bare)
            try:
                target = os.readlink(bare)
            except OSError:
                return path
            target = os.path.join(os.path.dirname(bare), target) + path[len(bare) :]
            path = self._resolved(process, thread, target)
        return path  # still a link: the kernel will say that there are too many

    def _resolved(self, process: Process, thread: int, name: bytes) -> bytes:
        name = _seen_by(process.number, thread, name)
        bare = name.rstrip(b"/") or b"/"
        parent, last = os.path.split(bare)
        if parent not in self._plain:
            resolved = os.path.realpath(parent)
            if resolved == parent and resolved.startswith(self._below):
                self._plain.add(resolved)
            parent = resolved
        return os.path.join(parent, last) + name[len(bare) :]

    def directory(self, thread: int, descriptor: int) -> bytes:
        """Return the path of a thread's directory descriptor, or of its working directory.

        Raises EBADF where the descriptor is not open.
        """
        descriptor &= 0xFFFFFFFF
        if descriptor == AT_FDCWD:
            return os.readlink(b"/proc/%d/cwd" % thread)
        try:
            return os.readlink(b"/proc/%d/fd/%d" % (thread, descriptor))
        except FileNotFoundError as error:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from error

    def relative(self, path: bytes) -> bytes | None:
        """Return a path relative to the root; None where it lies outside."""
        path = path.rstrip(b"/")
        if path.startswith(self._below):
            return path[len(self._below) :]
        return b"" if path == self.root else None

    def forget(self) -> None:
        """Drop what is known of directories: one of them moved or went."""
        self._plain = {self.root}


def _seen_by(process: int, thread: int, path: bytes) -> bytes:
    """Name a process in the links of /proc that lead every reader to itself: here, to us."""
    own = b"/proc/%d/" % process
    for link, meant in (
        (b"/proc/self/", own),
        (b"/proc/thread-self/", own + b"task/%d/" % thread),
        (b"/dev/fd/", own + b"fd/"),
    ):
        if path.startswith(link):
            return meant + path[len(link) :]
    return path


def is_parent_there(path: bytes) -> bool:
    """Tell whether there is a directory for a name."""
    return os.path.isdir(os.path.dirname(path.rstrip(b"/")))
