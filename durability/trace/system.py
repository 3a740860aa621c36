"""The few system calls that Python's `os` does not offer, by way of the C library."""

import ctypes
import errno
import os
import signal
from typing import Final

import pyseccomp

_C: Final = ctypes.CDLL(None, use_errno=True)
_KCMP: Final = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, "kcmp")
_KCMP_FILE: Final = 0
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38


def _checked(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def set_parent_death_signal(number: int) -> None:
    """Have the kernel send a signal to this process when the *thread* that forked it ends."""
    _checked(_C.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def become_readable() -> None:
    """Let our own user read this process's memory, even if the process has changed users."""
    _checked(_C.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def become_child_subreaper() -> None:
    """Adopt orphaned descendants, so that they can be found and killed."""
    _checked(_C.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def give_up_new_privileges() -> None:
    """Let set-user-id programs run without their privilege: what an unprivileged filter needs."""
    _checked(_C.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")


def restore_signals() -> None:
    """Undo what Python and our own command line set: an exec keeps ignored signals ignored."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def seccomp(call_number: int, operation: int, flags: int, argument: ctypes.Structure) -> int:
    """Operate on filters, which the C library does not wrap; return what the operation does."""
    return _checked(_C.syscall(call_number, operation, flags, ctypes.byref(argument)), "seccomp")


def is_same_file(thread: int, number: int, descriptor: int) -> bool:
    """Tell whether a thread's descriptor and one of ours are of one open file (kcmp(2)).

    Raises PermissionError where a sandbox forbids to ask.
    """
    result: int = _C.syscall(_KCMP, thread, os.getpid(), _KCMP_FILE, number, descriptor)
    if result < 0 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS):
        raise PermissionError(ctypes.get_errno(), "kcmp")
    return result == 0


def fallocate(descriptor: int, mode: int, offset: int, length: int) -> None:
    """Change blocks as asked, or fail: `os.posix_fallocate` falls back to writing zeros."""
    _checked(
        _C.fallocate(descriptor, mode, ctypes.c_longlong(offset), ctypes.c_longlong(length)),
        "fallocate",
    )


def link(source: bytes, destination: bytes, flags: int) -> None:
    """linkat(2) on absolute paths: `os.link` does not follow a link where it is asked to."""
    _checked(_C.linkat(-100, source, -100, destination, flags), "linkat")


def rename(source: bytes, destination: bytes, flags: int) -> None:
    """renameat2(2) on absolute paths."""
    _checked(_C.renameat2(-100, source, -100, destination, flags), "renameat2")
