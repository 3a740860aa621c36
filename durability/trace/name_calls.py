"""Calls on names, performed in the target's place: rename, link, unlink, directories.

Handlers answer as those of `file_calls` do.
"""

import os
import stat
from collections.abc import Callable, Mapping
from typing import Final

from durability.trace import system
from durability.trace.disk import Disk
from durability.trace.files import Files
from durability.trace.notification import LET_RUN, Notification
from durability.trace.paths import AT_FDCWD, Paths, is_parent_there
from durability.trace.processes import Process
from durability.trace.records import (
    AnyRecord,
    Link,
    MakeDirectory,
    Open,
    RemoveDirectory,
    Rename,
    Symlink,
    Truncate,
    Unlink,
    Untraceable,
)
from durability.trace.tape import Tape

_AT_REMOVEDIR: Final = 0x200
_AT_EMPTY_PATH: Final = 0x1000
_AT_SYMLINK_FOLLOW: Final = 0x400
_RENAME_NOREPLACE: Final = 1
_RENAME_EXCHANGE: Final = 2
_CALLED: Final[Mapping[type[AnyRecord], str]] = {
    Unlink: "unlink",
    RemoveDirectory: "rmdir",
    MakeDirectory: "mkdir",
}


class NameCalls:
    """What the target does to names below the watched root."""

    def __init__(self, paths: Paths, files: Files, tape: Tape, disk: Disk) -> None:
        self._paths = paths
        self._files = files
        self._tape = tape
        self._disk = disk

    # Renaming

    def rename(self, call: Notification, process: Process) -> int:
        """Arguments: source, destination."""
        source, destination, *_ = call.arguments
        return self._rename(call, process, (AT_FDCWD, source), (AT_FDCWD, destination), 0)

    def renameat(self, call: Notification, process: Process) -> int:
        """Arguments: directory, source, directory, destination."""
        a, source, b, destination, *_ = call.arguments
        return self._rename(call, process, (a, source), (b, destination), 0)

    def renameat2(self, call: Notification, process: Process) -> int:
        """Arguments: directory, source, directory, destination, flags."""
        a, source, b, destination, flags, _ = call.arguments
        return self._rename(call, process, (a, source), (b, destination), flags & 0xFFFFFFFF)

    def _rename(
        self,
        call: Notification,
        process: Process,
        source: tuple[int, int],
        destination: tuple[int, int],
        flags: int,
    ) -> int:
        old = self._paths.resolve(process, call.thread, *source)
        new = self._paths.resolve(process, call.thread, *destination)
        old_name, new_name = self._paths.relative(old), self._paths.relative(new)
        if old_name is None and new_name is None:
            return LET_RUN
        if old_name is None or new_name is None:
            inside = old_name if new_name is None else new_name
            self._tape.add(Untraceable(call.thread, "rename across the root", inside or b""))
            self._paths.forget()
            return LET_RUN
        exchange = bool(flags & _RENAME_EXCHANGE)
        moves = exchange or not _same_inode(old, new)
        if moves and _may_rename(old, new, flags):
            self._disk.change(call.thread, "rename", new_name, grows=False)
        system.rename(old, new, flags)
        if not moves:
            return 0  # of two names of one file, both stay
        if exchange:
            self._files.renamed(new_name, b"\0")
            self._files.renamed(old_name, new_name)
            self._files.renamed(b"\0", old_name)
        else:
            self._files.renamed(old_name, new_name)
        self._paths.forget()
        self._tape.add(Rename(call.thread, old_name, new_name, exchange))
        return 0

    # Linking

    def link(self, call: Notification, process: Process) -> int:
        """Arguments: source, path."""
        source, path, *_ = call.arguments
        return self._link(call, process, (AT_FDCWD, source), (AT_FDCWD, path), 0)

    def linkat(self, call: Notification, process: Process) -> int:
        """Arguments: directory, source, directory, path, flags."""
        a, source, b, path, flags, _ = call.arguments
        return self._link(call, process, (a, source), (b, path), flags)

    def _link(
        self,
        call: Notification,
        process: Process,
        source: tuple[int, int],
        destination: tuple[int, int],
        flags: int,
    ) -> int:
        new = self._paths.resolve(process, call.thread, *destination)
        new_name = self._paths.relative(new)
        held = self._files.get(call.thread, source[0]) if flags & _AT_EMPTY_PATH else None
        if held is not None:
            flags = _AT_SYMLINK_FOLLOW
        else:
            old = self._paths.resolve(process, call.thread, *source)
            held = self._files.behind_magic_link(process.number, old)
        if held is not None:
            old = b"/proc/self/fd/%d" % held.descriptor
        old_name = self._paths.relative(old) if held is None else held.path
        if old_name is None and new_name is None:
            return LET_RUN
        if new_name is None:
            self._tape.add(Untraceable(call.thread, "link to outside of the root", old_name or b""))
            return LET_RUN
        if old_name is None:
            self._tape.add(Untraceable(call.thread, "link from outside of the root", new_name))
            return LET_RUN
        if os.path.lexists(old) and _is_vacant(new):
            self._disk.change(call.thread, "link", new_name, grows=True)
        system.link(old, new, flags & _AT_SYMLINK_FOLLOW)
        if held is not None and not held.path:
            held.path = new_name  # an unnamed temporary file has got its name
        status = os.lstat(new)
        if stat.S_ISLNK(status.st_mode):
            self._tape.add(Symlink(call.thread, new_name, os.readlink(new)))
        elif stat.S_ISREG(status.st_mode):
            self._tape.add(Link(call.thread, self._files.inode(status), new_name))
        return 0

    def symlink(self, call: Notification, process: Process) -> int:
        """Arguments: content, path."""
        content, path, *_ = call.arguments
        return self._symlink(call, process, content, AT_FDCWD, path)

    def symlinkat(self, call: Notification, process: Process) -> int:
        """Arguments: content, directory, path."""
        content, directory, path, *_ = call.arguments
        return self._symlink(call, process, content, directory, path)

    def _symlink(
        self, call: Notification, process: Process, content: int, directory: int, address: int
    ) -> int:
        path = self._paths.resolve(process, call.thread, directory, address)
        name = self._paths.relative(path)
        if name is None:
            return LET_RUN
        text = process.memory.read_string(content)
        if _is_vacant(path):
            self._disk.change(call.thread, "symlink", name, grows=True)
        os.symlink(text, path)
        self._tape.add(Symlink(call.thread, name, text))
        return 0

    # Removing

    def unlink(self, call: Notification, process: Process) -> int:
        """Arguments: path."""
        return self._unlink(call, process, AT_FDCWD, call.arguments[0])

    def unlinkat(self, call: Notification, process: Process) -> int:
        """Arguments: directory, path, flags."""
        directory, address, flags, *_ = call.arguments
        remove = self._rmdir if flags & _AT_REMOVEDIR else self._unlink
        return remove(call, process, directory, address)

    def rmdir(self, call: Notification, process: Process) -> int:
        """Arguments: path."""
        return self._rmdir(call, process, AT_FDCWD, call.arguments[0])

    def _unlink(self, call: Notification, process: Process, directory: int, address: int) -> int:
        return self._at_name(
            call,
            process,
            directory,
            address,
            _is_file,
            os.unlink,
            lambda name: Unlink(call.thread, name),
        )

    def _rmdir(self, call: Notification, process: Process, directory: int, address: int) -> int:
        self._paths.forget()
        return self._at_name(
            call,
            process,
            directory,
            address,
            _is_empty_directory,
            os.rmdir,
            lambda name: RemoveDirectory(call.thread, name),
        )

    # Making

    def mkdir(self, call: Notification, process: Process) -> int:
        """Arguments: path, mode."""
        address, mode, *_ = call.arguments
        return self._mkdir(call, process, AT_FDCWD, address, mode)

    def mkdirat(self, call: Notification, process: Process) -> int:
        """Arguments: directory, path, mode."""
        directory, address, mode, *_ = call.arguments
        return self._mkdir(call, process, directory, address, mode)

    def _mkdir(
        self, call: Notification, process: Process, directory: int, address: int, mode: int
    ) -> int:
        permitted = mode & 0o7777 & ~process.umask
        return self._at_name(
            call,
            process,
            directory,
            address,
            _is_vacant,
            lambda path: os.mkdir(path, permitted),
            lambda name: MakeDirectory(call.thread, name),
        )

    def mknod(self, call: Notification, process: Process) -> int:
        """Arguments: path, mode, device."""
        address, mode, *_ = call.arguments
        return self._mknod(call, process, AT_FDCWD, address, mode)

    def mknodat(self, call: Notification, process: Process) -> int:
        """Arguments: directory, path, mode, device."""
        directory, address, mode, *_ = call.arguments
        return self._mknod(call, process, directory, address, mode)

    def _mknod(
        self, call: Notification, process: Process, directory: int, address: int, mode: int
    ) -> int:
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            return LET_RUN  # FIFOs and devices hold nothing that survives
        path = self._paths.resolve(process, call.thread, directory, address)
        name = self._paths.relative(path)
        if name is None:
            return LET_RUN
        if _is_vacant(path):
            self._disk.change(call.thread, "mknod", name, grows=True)
        os.mknod(path, mode & 0o7777 & ~process.umask)
        file = self._files.inode(os.stat(path), created=True)
        self._tape.add(Open(call.thread, file, name, os.O_CREAT | os.O_EXCL, created=True))
        return 0

    def truncate(self, call: Notification, process: Process) -> int:
        """Arguments: path, size."""
        address, size, *_ = call.arguments
        path = self._paths.resolve(process, call.thread, AT_FDCWD, address)
        path = self._paths.follow(process, call.thread, path)
        name = self._paths.relative(path)
        if name is None:
            return LET_RUN
        now = os.stat(path).st_size
        if size != now:
            self._disk.change(call.thread, "truncate", name, grows=size > now)
        os.truncate(path, size)
        file = self._files.inode(os.stat(path))
        self._tape.add(Truncate(call.thread, file, name, size))
        return 0

    def _at_name(
        self,
        call: Notification,
        process: Process,
        directory: int,
        address: int,
        may_act: Callable[[bytes], bool],
        act: Callable[[bytes], None],
        record: Callable[[bytes], AnyRecord],
    ) -> int:
        """Act on one name and record it; where it may not act, the error is that of the call."""
        path = self._paths.resolve(process, call.thread, directory, address)
        name = self._paths.relative(path)
        if name is None:
            return LET_RUN
        done = record(name)
        if may_act(path):
            grows = isinstance(done, MakeDirectory)
            self._disk.change(call.thread, _CALLED[type(done)], name, grows=grows)
        act(path)
        self._tape.add(done)
        return 0


def _is_vacant(path: bytes) -> bool:
    """Tell whether a name can be made."""
    return is_parent_there(path) and not os.path.lexists(path)


def _is_file(path: bytes) -> bool:
    """Tell whether a name can be unlinked."""
    return os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path))


def _is_empty_directory(path: bytes) -> bool:
    return os.path.isdir(path) and not os.path.islink(path) and not os.listdir(path)


def _may_rename(old: bytes, new: bytes, flags: int) -> bool:
    """Tell whether a name can be moved to another, or exchanged with it."""
    if not os.path.lexists(old):
        return False
    if flags & _RENAME_EXCHANGE:
        return os.path.lexists(new)
    return _is_vacant(new) if flags & _RENAME_NOREPLACE else is_parent_there(new)


def _same_inode(a: bytes, b: bytes) -> bool:
    try:
        return os.path.samestat(os.lstat(a), os.lstat(b))
    except OSError:
        return False
