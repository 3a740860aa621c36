"""Which system calls are notified to the supervisor: a BPF program for seccomp(2).

A filter sees registers, not memory, so it cannot know paths. Instead the supervisor gives every
file that is opened for writing below the watched root a descriptor at or above `BASE`; from then on
`descriptor >= BASE` tells our files from sockets, pipes and logs, which run at native speed.
"""

import ctypes
import errno
import fcntl
import os
from itertools import chain
from typing import Final

import pyseccomp

from durability.errors import MechanismError
from durability.trace import system

BASE: Final = 1000
"""The lowest descriptor number of a watched file."""

FICLONE: Final = 0x40049409
FICLONERANGE: Final = 0x4020940D
F_OFD_SETLK: Final = 37
F_OFD_SETLKW: Final = 38

_ALWAYS: Final = (
    # flags or names behind pointers
    *("openat2", "creat", "truncate", "rename", "renameat", "renameat2", "link", "linkat"),
    *("symlink", "symlinkat", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"),
    *("mknod", "mknodat"),
    # directories are synced through descriptors below BASE
    *("fsync", "fdatasync", "sync", "syncfs"),
    # what changes the caller's state that the supervisor must know
    *("umask", "fork", "vfork", "clone", "clone3", "execve", "execveat", "flock"),
    *("setuid", "setreuid", "setresuid", "setfsuid"),
    # after these a path no longer means to the caller what it means to the supervisor
    *("chroot", "pivot_root", "mount"),
    # answered with ENOSYS: programs fall back to calls that can be traced
    *("io_uring_setup", "io_setup"),
)
_ON_WATCHED_FILE: Final = {
    0: (
        *("write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate", "fallocate"),
        *("close", "dup", "dup2", "dup3", "sendfile"),
    ),
    1: ("dup2", "dup3", "close_range"),
    2: ("copy_file_range", "splice"),
}
"""Calls that are notified where the argument at this position is at least `BASE`."""

_COMMANDS_ON_WATCHED_FILE: Final = (
    *(("fcntl", command) for command in (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC, fcntl.F_SETFL)),
    *(("ioctl", command) for command in (FICLONE, FICLONERANGE)),
)

_PROT_WRITE: Final = 2
_MAP_SHARED_OR_ANONYMOUS: Final = 0x21
_MAP_SHARED: Final = 1

_SET_MODE_FILTER: Final = 1
_NEW_LISTENER: Final = 1 << 3
_WAIT_KILLABLE: Final = 1 << 5

NUMBER: Final = {
    name: number
    for name in (
        *_ALWAYS,
        *chain.from_iterable(_ON_WATCHED_FILE.values()),
        *("open", "openat", "ioctl", "fcntl", "mmap", "seccomp"),
    )
    if (number := pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)) >= 0
}
"""The system calls of this architecture by name; those that it lacks are left out."""


def _rules(program: pyseccomp.SyscallFilter) -> None:
    """Add one rule for each way in; arguments are combined by 'and', rules by 'or'."""
    argument = pyseccomp.Arg
    at_least, equal, masked = pyseccomp.GE, pyseccomp.EQ, pyseccomp.MASKED_EQ

    def notify(name: str, *conditions: object) -> None:
        if name in NUMBER:
            program.add_rule(pyseccomp.NOTIFY, name, *conditions)

    for name in _ALWAYS:
        notify(name)
    for position, names in _ON_WATCHED_FILE.items():
        for name in names:
            notify(name, argument(position, at_least, BASE))
    for name, flags in (("open", 1), ("openat", 2)):
        access, create, cut = os.O_ACCMODE, os.O_CREAT, os.O_TRUNC
        notify(name, argument(flags, masked, access, os.O_WRONLY))
        notify(name, argument(flags, masked, access, os.O_RDWR))
        notify(name, argument(flags, masked, access | create, create))
        notify(name, argument(flags, masked, access | create | cut, cut))
    for name, command in _COMMANDS_ON_WATCHED_FILE:
        notify(name, argument(0, at_least, BASE), argument(1, equal, command))
    for command in (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC):
        notify("fcntl", argument(1, equal, command), argument(2, at_least, BASE))
    for command in (F_OFD_SETLK, F_OFD_SETLKW):
        notify("fcntl", argument(1, equal, command))
    notify(
        "mmap",
        argument(2, masked, _PROT_WRITE, _PROT_WRITE),
        argument(3, masked, _MAP_SHARED_OR_ANONYMOUS, _MAP_SHARED),
        argument(4, at_least, BASE),
    )


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


_INSTRUCTION_BYTES: Final = 8
_REFUSALS: Final = {
    errno.EBUSY: "this process is being traced already: the kernel allows one listener to a tree",
    errno.EINVAL: "the kernel lacks seccomp notification with WAIT_KILLABLE (Linux 5.19)",
    errno.ENOSYS: "the kernel lacks seccomp filters",
}


class Filter:
    """The assembled program; made once by a supervisor, installed in each child it forks."""

    def __init__(self) -> None:
        try:
            program = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
            # A call of another architecture (x32, ia32) fails with ENOSYS; the default kills.
            program.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.ERRNO(errno.ENOSYS))
            _rules(program)
            code = _exported(program)
        except (OSError, RuntimeError) as error:
            raise MechanismError(f"libseccomp cannot assemble the filter: {error}") from error
        self._code = ctypes.create_string_buffer(code, len(code))
        self._program = _Program(len(code) // _INSTRUCTION_BYTES, ctypes.addressof(self._code))

    def install(self) -> int:
        """Put this thread and what it will fork under the filter; return the listener.

        WAIT_KILLABLE (Linux 5.19) keeps ordinary signals from interrupting a call that is being
        answered: without it the call is restarted, and its bytes are written twice.

        Raises MechanismError where the kernel refuses.
        """
        system.give_up_new_privileges()
        flags = _NEW_LISTENER | _WAIT_KILLABLE
        try:
            return system.seccomp(NUMBER["seccomp"], _SET_MODE_FILTER, flags, self._program)
        except OSError as error:
            reason = _REFUSALS.get(error.errno or 0, "the kernel refuses the filter")
            raise MechanismError(f"{reason} ({os.strerror(error.errno or 0)})") from error


def _exported(program: pyseccomp.SyscallFilter) -> bytes:
    """Return the BPF instructions: libseccomp 2.5 cannot load them with WAIT_KILLABLE itself."""
    with open(os.memfd_create("bpf"), "w+b") as file:
        program.export_bpf(file)
        file.seek(0)
        return file.read()
