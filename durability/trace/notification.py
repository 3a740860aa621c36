"""The kernel's side of seccomp user notification: its structures, ioctls and constants.

Source: seccomp_unotify(2) and linux/seccomp.h. Everything goes through `fcntl.ioctl` on bytes.
"""

import errno
import fcntl
import struct
from contextlib import suppress
from typing import Final

import msgspec

_RECEIVE: Final = 0xC0502100
_SEND: Final = 0xC0182101
_ID_VALID: Final = 0x40082102
_ADD_DESCRIPTOR: Final = 0x40182103
_SET_FLAGS: Final = 0x40082104

_NOTIFICATION: Final = struct.Struct("=QIIiIQ6q")
_RESPONSE: Final = struct.Struct("=QqiI")
_ADDITION: Final = struct.Struct("=QIIII")
_EMPTY: Final = bytes(_NOTIFICATION.size)  # the kernel refuses a buffer that is not zeroed

LET_RUN: Final = -1
"""A handler's result: the kernel shall perform the call as it stands."""

_CONTINUE: Final = 1
_ADD_AT_NUMBER: Final = 1
_SYNC_WAKE_UP: Final = 1


class Notification(msgspec.Struct, frozen=True, gc=False):
    """A call that waits for its answer.

    `thread` is the caller. `arguments` are whole registers, as signed numbers: an offset of -1 is
    that, but a descriptor or flags of 32 bits may have anything above them.
    """

    id: int
    thread: int
    call: int
    arguments: tuple[int, int, int, int, int, int]


class Listener:
    """The supervisor's end of a filter: notified calls come out, answers go in."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        # Linux 6.6: the answer hands the CPU straight to the waiting thread. Older: no loss.
        with suppress(OSError):
            fcntl.ioctl(descriptor, _SET_FLAGS, _SYNC_WAKE_UP)

    def receive(self) -> Notification | None:
        """Return the next call, or None where a signal took it back before it was read."""
        try:
            raw = fcntl.ioctl(self.descriptor, _RECEIVE, _EMPTY)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise
        fields = _NOTIFICATION.unpack(raw)
        return Notification(fields[0], fields[1], fields[3], fields[6:])

    def is_waiting(self, identity: int) -> bool:
        """Tell whether the caller still waits, so that what was read under its id was its own."""
        try:
            fcntl.ioctl(self.descriptor, _ID_VALID, struct.pack("=Q", identity))
        except OSError:
            return False
        return True

    def answer(self, identity: int, value: int, error: int = 0, flags: int = 0) -> None:
        """End the call with a return value, or with an errno."""
        # ENOENT: the caller was killed while it waited. There is nobody to tell.
        try:
            fcntl.ioctl(self.descriptor, _SEND, _RESPONSE.pack(identity, value, -error, flags))
        except OSError as failure:
            if failure.errno != errno.ENOENT:
                raise

    def let_run(self, identity: int) -> None:
        """Let the kernel perform the call as it stands."""
        self.answer(identity, 0, flags=_CONTINUE)

    def install(self, identity: int, descriptor: int, number: int, flags: int) -> None:
        """Put our open file into the caller at `number`; the call still waits for its answer.

        Raises OSError: EBADF beyond the caller's RLIMIT_NOFILE, ENOENT where it was killed.
        """
        addition = _ADDITION.pack(identity, _ADD_AT_NUMBER, descriptor, number, flags)
        while True:
            # Interrupted by a signal to us, the kernel has taken the addition back. It could send
            # the answer in the same step, but does not take that back: the caller would get 0.
            with suppress(InterruptedError):
                fcntl.ioctl(self.descriptor, _ADD_DESCRIPTOR, addition)
                return
