"""Which system calls are notified to the supervisor: a BPF program for seccomp(2).

A filter sees registers, not memory, so it cannot know paths. Instead the supervisor gives every
file that is opened for writing below the watched root a descriptor at or above `BASE`; from then on
`descriptor >= BASE` tells our files from sockets, pipes and logs, which run at native speed.

A shell puts such a file where a program expects its input or output (`> file`), and no filter could
be told of that afterwards. So for programs calls on standard descriptors are notified from the
beginning, and the supervisor looks which file they mean. A function of ours is no shell.
"""

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable, Iterable
from itertools import chain, product
from typing import Final

import pyseccomp

from durability.errors import MechanismError
from durability.trace import system

BASE: Final = 1000
"""The lowest descriptor number of a watched file, other than a standard one."""

STANDARD_MAX: Final = 2
"""The highest descriptor number at which a shell puts what it redirects for another program."""

FICLONE: Final = 0x40049409
FICLONERANGE: Final = 0x4020940D
F_OFD_SETLK: Final = 37
F_OFD_SETLKW: Final = 38

_PROT_WRITE: Final = 2
_MAP_SHARED_OR_ANONYMOUS: Final = 0x21
_MAP_SHARED: Final = 1

Alternatives = tuple[pyseccomp.Arg, ...]
"""Conditions on an argument, one of which is enough."""


def _number(position: int) -> Alternatives:
    """The argument is a descriptor number that we gave out."""
    return (pyseccomp.Arg(position, pyseccomp.GE, BASE),)


def _file(position: int) -> Alternatives:
    """The argument is a descriptor that may be of a watched file.

    With anything in the upper half of its register, a standard descriptor is one above BASE.
    """
    return (*_number(position), pyseccomp.Arg(position, pyseccomp.LE, STANDARD_MAX))


def _one_of(position: int, *values: int) -> Alternatives:
    return tuple(pyseccomp.Arg(position, pyseccomp.EQ, value) for value in values)


def _bits(position: int, *wanted: tuple[int, int]) -> Alternatives:
    """Under a mask, the argument is a value."""
    return tuple(
        pyseccomp.Arg(position, pyseccomp.MASKED_EQ, mask, value) for mask, value in wanted
    )


_ACCESS: Final = os.O_ACCMODE
_CHANGING: Final = (
    (_ACCESS, os.O_WRONLY),
    (_ACCESS, os.O_RDWR),
    (_ACCESS | os.O_CREAT, os.O_CREAT),
    (_ACCESS | os.O_CREAT | os.O_TRUNC, os.O_TRUNC),
)
"""Flags of an open(2) that may change a file; only one of these is true."""

Way = tuple[tuple[str, ...], tuple[Alternatives, ...]]


def _ways(file: Callable[[int], Alternatives]) -> tuple[Way, ...]:
    """Return what is notified: calls, and what must be true of some of their arguments.

    `file` says how a descriptor that may be of a watched file looks like.
    """
    return (
        (
            (
                # flags or names behind pointers
                *(
                    "openat2",
                    "creat",
                    "truncate",
                    "rename",
                    "renameat",
                    "renameat2",
                    "link",
                    "linkat",
                ),
                *("symlink", "symlinkat", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"),
                *("mknod", "mknodat"),
                # directories are synced through any descriptor
                *("fsync", "fdatasync", "sync", "syncfs"),
                # what changes the caller's state that the supervisor must know
                *("umask", "fork", "vfork", "clone", "clone3", "execve", "execveat", "flock"),
                *("setuid", "setreuid", "setresuid", "setfsuid"),
                # after these a path no longer means to the caller what it means to the supervisor
                *("chroot", "pivot_root", "mount", "move_mount", "setns"),
                # the kernel chooses the number of a copy of a file that may be watched
                "pidfd_getfd",
                # answered with ENOSYS: programs fall back to calls that can be traced
                *("io_uring_setup", "io_setup"),
            ),
            (),
        ),
        (("open",), (_bits(1, *_CHANGING),)),
        (("openat", "open_by_handle_at"), (_bits(2, *_CHANGING),)),
        (("write", "writev", "pwrite64", "pwritev", "pwritev2"), (file(0),)),
        (("ftruncate", "fallocate", "dup", "dup2", "dup3", "sendfile"), (file(0),)),
        (("copy_file_range", "splice"), (file(2),)),
        (("close",), (_number(0),)),
        (("dup2", "dup3", "close_range"), (_number(1),)),
        (
            ("fcntl",),
            (file(0), _one_of(1, fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC, fcntl.F_SETFL)),
        ),
        (("fcntl",), (_one_of(1, fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC), _number(2))),
        (("fcntl",), (_one_of(1, F_OFD_SETLK, F_OFD_SETLKW),)),
        (("ioctl",), (file(0), _one_of(1, FICLONE, FICLONERANGE))),
        (
            ("mmap",),
            (
                _bits(2, (_PROT_WRITE, _PROT_WRITE)),
                _bits(3, (_MAP_SHARED_OR_ANONYMOUS, _MAP_SHARED)),
                file(4),
            ),
        ),
    )


_SET_MODE_FILTER: Final = 1
_NEW_LISTENER: Final = 1 << 3
_WAIT_KILLABLE: Final = 1 << 5

NUMBER: Final = {
    name: number
    for name in ("seccomp", *chain.from_iterable(names for names, _ in _ways(_number)))
    if (number := pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)) >= 0
}
"""The system calls of this architecture by name; those that it lacks are left out."""


def _add_rules(program: pyseccomp.SyscallFilter, ways: Iterable[Way]) -> None:
    """Add a rule for each way in; a rule holds where all of its conditions do."""
    for names, arguments in ways:
        for name, conditions in product(names, product(*arguments)):
            if name in NUMBER:
                program.add_rule(pyseccomp.NOTIFY, name, *conditions)


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
    """The assembled program; made once by a supervisor, installed in each child it forks.

    With `standard_too`, files are told where a shell redirects to them, at the price that all that
    is printed is notified.
    """

    def __init__(self, *, standard_too: bool) -> None:
        self.standard_too = standard_too
        try:
            program = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
            # A call of another architecture (x32, ia32) fails with ENOSYS; the default kills.
            program.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.ERRNO(errno.ENOSYS))
            _add_rules(program, _ways(_file if standard_too else _number))
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
