"""Calls on files, performed in the target's place: open, write, size and sync.

Each handler takes the waiting call and its process and returns the call's result, or `LET_RUN` to
have the kernel perform it as it stands. An OSError becomes the call's errno.
"""

import errno
import fcntl
import os
import stat
import struct
from typing import Final

from durability.trace import system
from durability.trace.descriptor_calls import DescriptorCalls
from durability.trace.disk import Disk
from durability.trace.files import Files, OpenFile
from durability.trace.notification import LET_RUN, Notification
from durability.trace.paths import AT_FDCWD, Paths, is_parent_there
from durability.trace.processes import Process
from durability.trace.records import Allocate, Open, Refused, Sync, SyncAll, Truncate, Write
from durability.trace.tape import Tape

_OPEN_HOW: Final = struct.Struct("=QQQ")
_RWF_NOAPPEND: Final = 0x20


class FileCalls:
    """What the target does to files below the watched root."""

    def __init__(
        self, paths: Paths, files: Files, tape: Tape, descriptors: DescriptorCalls, disk: Disk
    ) -> None:
        self._paths = paths
        self._files = files
        self._tape = tape
        self._descriptors = descriptors
        self._disk = disk

    # Opening

    def open(self, call: Notification, process: Process) -> int:
        """Arguments: path, flags, mode."""
        address, flags, mode, *_ = call.arguments
        return self._open(call, process, AT_FDCWD, address, flags, mode)

    def openat(self, call: Notification, process: Process) -> int:
        """Arguments: directory, path, flags, mode."""
        directory, address, flags, mode, *_ = call.arguments
        return self._open(call, process, directory, address, flags, mode)

    def openat2(self, call: Notification, process: Process) -> int:
        """Arguments: directory, path, how, size."""
        directory, address, how, *_ = call.arguments
        flags, mode, restrictions = process.memory.unpack(_OPEN_HOW, how)
        if restrictions and _changes(flags):
            # They restrict the caller's own walk along the path, which we do not repeat.
            self._tape.add(Refused(call.thread, "openat2 with RESOLVE flags"))
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        return self._open(call, process, directory, address, flags, mode)

    def creat(self, call: Notification, process: Process) -> int:
        """Arguments: path, mode."""
        address, mode, *_ = call.arguments
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
        return self._open(call, process, AT_FDCWD, address, flags, mode)

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
        if not _changes(flags):
            return LET_RUN
        path = self._paths.resolve(process, call.thread, directory, address)
        held = self._files.behind_magic_link(process.number, path)
        if held is not None:
            path, relative = b"/proc/self/fd/%d" % held.descriptor, held.path
        else:
            exclusive = os.O_CREAT | os.O_EXCL
            if not flags & os.O_NOFOLLOW and flags & exclusive != exclusive:
                path = self._paths.follow(process, call.thread, path)
            found = self._paths.relative(path)
            if found is None:
                return LET_RUN
            relative = found
        before = _status(path)
        if before is not None and not (
            stat.S_ISREG(before.st_mode) or stat.S_ISDIR(before.st_mode)
        ):
            return LET_RUN  # a FIFO would block us; no content of a device or socket survives
        unnamed = flags & os.O_TMPFILE == os.O_TMPFILE
        creates = unnamed or (before is None and bool(flags & os.O_CREAT))
        cuts = bool(flags & os.O_TRUNC and before is not None and before.st_size)
        if (creates and is_parent_there(path)) or (cuts and not flags & os.O_EXCL):
            self._disk.change(call.thread, "open", relative, grows=creates)
        # Our copy of the bytes is not aligned as O_DIRECT demands; the caller's reads do not care.
        descriptor = os.open(
            path, (flags | os.O_CLOEXEC) & ~os.O_DIRECT, mode & 0o7777 & ~process.umask
        )
        created = before is None or unnamed
        name = b"" if unnamed else relative
        file = self._files.inode(os.fstat(descriptor), created=created)
        opened = OpenFile(descriptor, file, name, flags)
        try:
            self._tape.add(Open(call.thread, file, name, flags, created))
            return self._descriptors.install(call, process, opened, flags & os.O_CLOEXEC)
        finally:
            if not opened.numbers:
                os.close(descriptor)

    # Writing

    def write(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, buffer, length."""
        number, address, length, *_ = call.arguments
        opened = self._files.get(call.thread, number)
        if opened is None:
            return LET_RUN
        return self._write(call, opened, process.memory.read(address, length), None)

    def writev(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, vector, count."""
        number, address, count, *_ = call.arguments
        opened = self._files.get(call.thread, number)
        if opened is None:
            return LET_RUN
        return self._write(call, opened, process.memory.read_vector(address, count), None)

    def pwrite64(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, buffer, length, offset."""
        number, address, length, offset, *_ = call.arguments
        opened = self._files.get(call.thread, number)
        if opened is None:
            return LET_RUN
        return self._write(call, opened, process.memory.read(address, length), offset)

    def pwritev(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, vector, count, offset."""
        number, address, count, offset, *_ = call.arguments
        opened = self._files.get(call.thread, number)
        if opened is None:
            return LET_RUN
        return self._write(call, opened, process.memory.read_vector(address, count), offset)

    def pwritev2(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor, vector, count, offset, -, flags."""
        number, address, count, offset, _, flags = call.arguments
        opened = self._files.get(call.thread, number)
        if opened is None:
            return LET_RUN
        data = process.memory.read_vector(address, count)
        at = None if offset == -1 else offset
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
        descriptor = opened.descriptor
        asked = len(data)
        if asked and self._disk.may_fail:
            end = _next_offset(descriptor, offset, flags) + asked
            grows = end > os.fstat(descriptor).st_size
            data = data[: self._disk.write(call.thread, opened.path, asked, grows=grows)]
        taken = len(data)
        cut: int | None = None
        if asked and tape.order is not None and tape.written + taken >= tape.order.offset:
            if tape.order.is_missed(tape.written):
                tape.miss()
            cut = tape.order.cut(tape.written, taken, _next_offset(descriptor, offset, flags))
            if cut == 0:
                tape.reach()
            data = data[:cut]
        if flags:
            count = os.pwritev(descriptor, [data], -1 if offset is None else offset, flags)
        elif offset is None:
            count = os.write(descriptor, data)
        else:
            count = os.pwrite(descriptor, data, offset)
        if not asked:
            return count
        at = _written_at(descriptor, offset, count, flags)
        written = data if count == len(data) else data[:count]
        torn = cut is not None and count == cut < taken
        flags |= opened.write_flags
        tape.add_write(
            Write(call.thread, opened.file, opened.path, at, written, asked, torn, flags)
        )
        if count == cut:
            tape.reach(torn=torn)
        return count

    # Size and blocks

    def ftruncate(self, call: Notification, _process: Process) -> int:
        """Arguments: descriptor, size."""
        number, size, *_ = call.arguments
        opened = self._files.get(call.thread, number)
        if opened is None:
            return LET_RUN
        now = os.fstat(opened.descriptor).st_size
        if size != now:
            self._disk.change(call.thread, "ftruncate", opened.path, grows=size > now)
        os.ftruncate(opened.descriptor, size)
        self._tape.add(Truncate(call.thread, opened.file, opened.path, size))
        return 0

    def fallocate(self, call: Notification, _process: Process) -> int:
        """Arguments: descriptor, mode, offset, length."""
        number, mode, offset, length, *_ = call.arguments
        opened = self._files.get(call.thread, number)
        if opened is None:
            return LET_RUN
        mode &= 0xFFFFFFFF
        self._disk.change(call.thread, "fallocate", opened.path, grows=True)
        system.fallocate(opened.descriptor, mode, offset, length)
        self._tape.add(Allocate(call.thread, opened.file, opened.path, mode, offset, length))
        return 0

    # Durability

    def fsync(self, call: Notification, _process: Process) -> int:
        """Arguments: descriptor."""
        return self._sync(call, data_only=False)

    def fdatasync(self, call: Notification, _process: Process) -> int:
        """Arguments: descriptor."""
        return self._sync(call, data_only=True)

    def _sync(self, call: Notification, *, data_only: bool) -> int:
        number = call.arguments[0]
        synchronise = os.fdatasync if data_only else os.fsync
        opened = self._files.get(call.thread, number)
        if opened is not None:
            self._disk.sync(call.thread, opened.path, opened.file, opened.descriptor)
            synchronise(opened.descriptor)
            self._tape.add(Sync(call.thread, opened.path, data_only, opened.file))
            return 0
        relative = self._paths.relative(self._paths.directory(call.thread, number))
        if relative is None:
            return LET_RUN
        # A directory, or a file opened for reading: a second descriptor syncs the same inode, and
        # O_NONBLOCK keeps a FIFO, which cannot be synced, from keeping us.
        descriptor = os.open(
            f"/proc/{call.thread}/fd/{number & 0xFFFFFFFF}", os.O_RDONLY | os.O_NONBLOCK
        )
        try:
            self._disk.sync(call.thread, relative, self._file(descriptor), descriptor)
            synchronise(descriptor)
        finally:
            os.close(descriptor)
        self._tape.add(Sync(call.thread, relative, data_only))
        return 0

    def _file(self, descriptor: int) -> int | None:
        """Return the number of a regular file; None for a directory."""
        status = os.fstat(descriptor)
        return self._files.inode(status) if stat.S_ISREG(status.st_mode) else None

    def sync(self, call: Notification, _process: Process) -> int:
        """Sync every file system, ours among them."""
        os.sync()
        self._tape.add(SyncAll(call.thread))
        return 0

    def syncfs(self, call: Notification, process: Process) -> int:
        """Arguments: descriptor. Of our file system it is as good as sync(2), at worst slower."""
        path = self._paths.directory(call.thread, call.arguments[0])
        status = _status(path)
        if status is None or status.st_dev != self._paths.device:
            return LET_RUN
        return self.sync(call, process)


def _changes(flags: int) -> bool:
    """Tell whether opening with these flags may change a file, now or by the descriptor."""
    changes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
    return bool(flags & changes) and not flags & os.O_PATH


def _status(path: bytes) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _appends(descriptor: int, flags: int) -> bool:
    """Tell whether writes go to the end; Linux appends with pwrite(2) too under O_APPEND."""
    if flags & _RWF_NOAPPEND:
        return False
    return bool(flags & os.RWF_APPEND or fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND)


def _next_offset(descriptor: int, offset: int | None, flags: int) -> int:
    """Return where in the file the coming write will begin."""
    if _appends(descriptor, flags):
        return os.fstat(descriptor).st_size
    return os.lseek(descriptor, 0, os.SEEK_CUR) if offset is None else offset


def _written_at(descriptor: int, offset: int | None, count: int, flags: int) -> int:
    """Return where in the file a write of `count` bytes has just begun."""
    if offset is None:
        return os.lseek(descriptor, 0, os.SEEK_CUR) - count
    return os.fstat(descriptor).st_size - count if _appends(descriptor, flags) else offset
