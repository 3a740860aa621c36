"""Calls on files, performed in the target's place: open, write, size, sync and descriptors.

Each handler takes the waiting call and its process and returns the call's result, or `LET_RUN` to
have the kernel perform it as it stands, or `ANSWERED` where the answer is already given. An OSError
becomes the call's errno.
"""

import errno
import fcntl
import os
import stat
import struct
from typing import Final

from durability.trace import system
from durability.trace.files import Files, OpenFile
from durability.trace.filter import BASE
from durability.trace.notification import Listener, Notification
from durability.trace.paths import Paths
from durability.trace.processes import Process, Processes
from durability.trace.records import (
    Allocate,
    Open,
    Refused,
    Sync,
    SyncAll,
    Truncate,
    Untraceable,
    Write,
)
from durability.trace.tape import Tape

LET_RUN: Final = -1
ANSWERED: Final = -2

_AT_FDCWD: Final = 0xFFFFFF9C
_AT_POSITION: Final = 0xFFFFFFFFFFFFFFFF  # pwritev2's offset of -1
_CLONE_THREAD: Final = 0x10000
_OPEN_HOW: Final = struct.Struct("=QQQ")


class FileCalls:
    """What the target does to files below the watched root."""

    def __init__(
        self, listener: Listener, paths: Paths, processes: Processes, files: Files, tape: Tape
    ) -> None:
        self._listener = listener
        self._paths = paths
        self._processes = processes
        self._files = files
        self._tape = tape

    # Opening

    def open(self, call: Notification, process: Process) -> int:
        """Arguments: path, flags, mode."""
        address, flags, mode, *_ = call.arguments
        return self._open(call, process, _AT_FDCWD, address, flags, mode)

    def openat(self, call: Notification, process: Process) -> int:
        """Arguments: directory, path, flags, mode."""
        directory, address, flags, mode, *_ = call.arguments
        return self._open(call, process, directory, address, flags, mode)

    def openat2(self, call: Notification, process: Process) -> int:
        """Arguments: directory, path, how, size."""
        directory, address, how, *_ = call.arguments
        flags, mode, _ = _OPEN_HOW.unpack(process.memory.read(how, _OPEN_HOW.size))
        return self._open(call, process, directory, address, flags, mode)

    def creat(self, call: Notification, process: Process) -> int:
        """Arguments: path, mode."""
        address, mode, *_ = call.arguments
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
        return self._open(call, process, _AT_FDCWD, address, flags, mode)

    def _open(
        self,
        call: Notification,
        process: Process,
        directory: int,
        address: int,
        flags: int,
        mode: int,
    ) -> int:
        flags &= 0xFFFFFFFF
        changes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if flags & os.O_PATH or not changes:
            return LET_RUN
        path = self._paths.resolve(process, call.thread, directory, address)
        held = self.behind_magic_link(process, path)
        if held is not None:
            path, relative = b"/proc/self/fd/%d" % held.descriptor, held.path
        else:
            if not flags & os.O_NOFOLLOW and os.path.islink(path):
                path = os.path.realpath(path)
            found = self._paths.relative(path)
            if found is None:
                return LET_RUN
            relative = found
        before = _status(path)
        if before is not None and not (
            stat.S_ISREG(before.st_mode) or stat.S_ISDIR(before.st_mode)
        ):
            return LET_RUN  # a FIFO would block us; no content of a device or socket survives
        # Our copy of the bytes is not aligned as O_DIRECT demands; the caller's reads do not care.
        descriptor = os.open(
            path, (flags | os.O_CLOEXEC) & ~os.O_DIRECT, mode & 0o7777 & ~process.umask
        )
        status = os.fstat(descriptor)
        unnamed = flags & os.O_TMPFILE == os.O_TMPFILE
        created = before is None or unnamed
        file = self._files.inode(status, created=created)
        opened = OpenFile(descriptor, file, relative)
        record = Open(call.thread, file, b"" if unnamed else relative, flags, created)
        try:
            if created or (flags & os.O_TRUNC and before is not None and before.st_size):
                self._tape.change(record)
            else:
                self._tape.note(record)
            return self._install(call, process, opened, None, flags & os.O_CLOEXEC)
        finally:
            if not opened.numbers:
                os.close(descriptor)

    def behind_magic_link(self, process: Process, path: bytes) -> OpenFile | None:
        """Return the watched file that a path like /proc/PID/fd/1000 leads to."""
        parent, last = os.path.split(path)
        if parent == b"/proc/%d/fd" % process.number and last.isdigit():
            return self._files.get(int(last))
        return None

    def _install(
        self,
        call: Notification,
        process: Process,
        opened: OpenFile,
        number: int | None,
        flags: int,
    ) -> int:
        """Give the caller a descriptor of an open file, at a number or at a free one."""
        at = self._files.reserve(process.number) if number is None else number
        try:
            self._listener.install(call.id, opened.descriptor, at, flags)
        except OSError as error:
            if number is None:
                self._files.give_back(at)
            if error.errno == errno.EBADF:
                path = opened.path
                self._tape.note(Untraceable(call.thread, "open beyond RLIMIT_NOFILE", path))
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from error
            raise
        self._files.add(at, opened)
        return ANSWERED

    # Writing

    def write(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, buffer, length."""
        number, address, length, *_ = call.arguments
        opened = self._files.get(number)
        if opened is None:
            return LET_RUN
        return self._write(call, opened, process.memory.read(address, length), None)

    def writev(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, vector, count."""
        number, address, count, *_ = call.arguments
        opened = self._files.get(number)
        if opened is None:
            return LET_RUN
        return self._write(call, opened, process.memory.read_vector(address, count), None)

    def pwrite64(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, buffer, length, offset."""
        number, address, length, offset, *_ = call.arguments
        opened = self._files.get(number)
        if opened is None:
            return LET_RUN
        return self._write(call, opened, process.memory.read(address, length), offset)

    def pwritev(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, vector, count, offset."""
        number, address, count, offset, *_ = call.arguments
        opened = self._files.get(number)
        if opened is None:
            return LET_RUN
        return self._write(call, opened, process.memory.read_vector(address, count), offset)

    def pwritev2(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, vector, count, offset, -, flags."""
        number, address, count, offset, _, flags = call.arguments
        opened = self._files.get(number)
        if opened is None:
            return LET_RUN
        data = process.memory.read_vector(address, count)
        at = None if offset == _AT_POSITION else offset
        return self._write(call, opened, data, at, flags & 0xFFFFFFFF)

    def _write(
        self,
        call: Notification,
        opened: OpenFile,
        data: bytes,
        offset: int | None,
        flags: int = 0,
    ) -> int:
        """Write at an offset, or at the file's position; only as far as the kill lets it."""
        tape = self._tape
        asked = len(data)
        if not asked:
            return 0
        descriptor = opened.descriptor
        cut: int | None = None
        if tape.order is not None and tape.written + asked >= tape.order.offset:
            cut = tape.cut(asked, _next_offset(descriptor, offset, flags))
            if cut is not None:
                data = data[:cut]
        if not data:
            tape.cut_short(torn=False)
        if flags:
            count = os.pwritev(descriptor, [data], -1 if offset is None else offset, flags)
        elif offset is None:
            count = os.write(descriptor, data)
        else:
            count = os.pwrite(descriptor, data, offset)
        at = _written_at(descriptor, offset, count, flags)
        torn = cut is not None and count < asked
        tape.wrote(
            Write(
                call.thread,
                opened.file,
                opened.path,
                at,
                data if count == len(data) else data[:count],
                asked,
                torn,
                flags,
            ),
            count,
        )
        if cut is not None:
            tape.cut_short(torn=torn)
        return count

    # Size and blocks

    def ftruncate(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, size."""
        del process
        number, size, *_ = call.arguments
        opened = self._files.get(number)
        if opened is None:
            return LET_RUN
        os.ftruncate(opened.descriptor, size)
        self._tape.change(Truncate(call.thread, opened.file, opened.path, size))
        return 0

    def fallocate(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, mode, offset, length."""
        del process
        number, mode, offset, length, *_ = call.arguments
        opened = self._files.get(number)
        if opened is None:
            return LET_RUN
        mode &= 0xFFFFFFFF
        system.fallocate(opened.descriptor, mode, offset, length)
        self._tape.change(Allocate(call.thread, opened.file, opened.path, mode, offset, length))
        return 0

    # Durability

    def fsync(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor."""
        del process
        return self._sync(call, data_only=False)

    def fdatasync(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor."""
        del process
        return self._sync(call, data_only=True)

    def _sync(self, call: Notification, *, data_only: bool) -> int:
        number = call.arguments[0]
        synchronise = os.fdatasync if data_only else os.fsync
        opened = self._files.get(number)
        if opened is not None:
            synchronise(opened.descriptor)
            self._tape.note(Sync(call.thread, opened.path, data_only))
            return 0
        relative = self._paths.relative(self._paths.directory(call.thread, number))
        if relative is None:
            return LET_RUN
        # A directory, or a file opened for reading: a second descriptor syncs the same inode.
        descriptor = os.open(f"/proc/{call.thread}/fd/{number & 0xFFFFFFFF}", os.O_RDONLY)
        try:
            synchronise(descriptor)
        finally:
            os.close(descriptor)
        self._tape.note(Sync(call.thread, relative, data_only))
        return 0

    def sync(self, call: Notification, process: Process) -> int:
        """Sync everything; for syncfs, whose argument is a descriptor, that is more than enough."""
        del process
        os.sync()
        self._tape.note(SyncAll(call.thread))
        return 0

    # Descriptors

    def close(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor."""
        del process
        self._files.closed(call.arguments[0])
        return LET_RUN

    def dup(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor."""
        return self._duplicate(call, process, None, 0)

    def dup2(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, number."""
        return self._duplicate(call, process, call.arguments[1] & 0xFFFFFFFF, 0)

    def dup3(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, number, flags."""
        _, number, flags, *_ = call.arguments
        return self._duplicate(call, process, number & 0xFFFFFFFF, flags & os.O_CLOEXEC)

    def fcntl(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, command: F_DUPFD, F_DUPFD_CLOEXEC, or a lock of an open file."""
        command = call.arguments[1]
        if command in (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC):
            flags = os.O_CLOEXEC if command == fcntl.F_DUPFD_CLOEXEC else 0
            return self._duplicate(call, process, None, flags)
        return self.lock(call, process)

    def lock(self, call: Notification, process: Process) -> int:
        """Before flock and its like: no lock may live on in a copy that only we still hold."""
        del call, process
        self._files.release_idle()
        return LET_RUN

    def _duplicate(
        self, call: Notification, process: Process, number: int | None, flags: int
    ) -> int:
        opened = self._files.get(call.arguments[0])
        if opened is None:
            return LET_RUN
        if number is not None and number < BASE:
            # The filter cannot tell writes through a low number from those to a pipe.
            self._tape.note(Untraceable(call.thread, f"dup2 to {number}", opened.path))
            return LET_RUN
        return self._install(call, process, opened, number, flags)

    # Processes

    def fork(self, call: Notification, process: Process) -> int:
        """At a fork, clone or exec: from here on numbers may be held by others, or dropped."""
        del call, process
        self._files.holders_unknown = True
        self._processes.forget()
        return LET_RUN

    def clone3(self, call: Notification, process: Process) -> int:
        """Argument: a structure that begins with flags. A thread shares all, a process is a fork."""
        (flags,) = struct.unpack("=Q", process.memory.read(call.arguments[0], 8))
        return LET_RUN if flags & _CLONE_THREAD else self.fork(call, process)

    def close_range(self, call: Notification, process: Process) -> int:
        """Arguments: first, last, flags: a silent close of many."""
        del call, process
        self._files.holders_unknown = True
        return LET_RUN

    def umask(self, call: Notification, process: Process) -> int:
        """Arguments: mask."""
        process.umask = call.arguments[0] & 0o777
        return LET_RUN

    # What cannot be followed

    def mmap(self, call: Notification, process: Process) -> int:
        """Mmap of a watched file, shared and writable: its stores are not calls."""
        del process
        opened = self._files.get(call.arguments[4])
        if opened is not None:
            self._tape.note(Untraceable(call.thread, "mmap", opened.path))
        return LET_RUN

    def refuse(self, call: Notification, name: str) -> int:
        """Fail as on a kernel that lacks io_uring or asynchronous I/O."""
        self._tape.note(Refused(call.thread, name))
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _status(path: bytes) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _appends(descriptor: int, flags: int) -> bool:
    """Tell whether writes go to the end; Linux appends with pwrite(2) too under O_APPEND."""
    return bool(flags & os.RWF_APPEND or fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND)


def _next_offset(descriptor: int, offset: int | None, flags: int) -> int:
    """Return where in the file the coming write will begin."""
    if _appends(descriptor, flags):
        return os.fstat(descriptor).st_size
    return os.lseek(descriptor, 0, os.SEEK_CUR) if offset is None else offset


def _written_at(descriptor: int, offset: int | None, count: int, flags: int) -> int:
    """Return where in the file a write of `count` bytes has just begun."""
    if offset is None and not flags:
        return os.lseek(descriptor, 0, os.SEEK_CUR) - count
    if _appends(descriptor, flags):
        return os.fstat(descriptor).st_size - count
    return os.lseek(descriptor, 0, os.SEEK_CUR) - count if offset is None else offset
