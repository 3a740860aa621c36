"""Reading what a notified call points at: buffers, paths and vectors of a stopped thread."""

import errno
import os
import struct
from typing import Any, Final

PATH_BYTES_MAX: Final = 4096
_STRING_BYTES: Final = 256
_PAGE_BYTES: Final = 4096
_READ_BYTES_MAX: Final = 1 << 20
_CALL_BYTES_MAX: Final = 0x7FFFF000  # what one write(2) transfers at most
_VECTORS_MAX: Final = 1024


class Memory:
    """The address space of one process, read through /proc.

    `/proc/PID/mem` stays bound to the address space it was opened on: after an exec it reads
    nothing, and is opened again. Raises PermissionError where the kernel keeps the process closed
    to its own user.
    """

    def __init__(self, process: int) -> None:
        self._path = f"/proc/{process}/mem"
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of the address space."""
        os.close(self._descriptor)

    def read(self, address: int, length: int) -> bytes:
        """Return up to `length` bytes; fewer where the mapping ends.

        Raises EFAULT where there are none, and for a negative length.
        """
        if 0 < length <= _READ_BYTES_MAX:
            try:
                found = os.pread(self._descriptor, length, address)
            except OSError:
                found = b""
            if len(found) == length:
                return found
        return self._read_around(address, length)

    def _read_around(self, address: int, length: int) -> bytes:
        """Read what is long, cut short by the end of a mapping, or of another address space."""
        os.close(self._descriptor)
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        wanted = min(length, _CALL_BYTES_MAX)
        found = bytearray()
        while len(found) < wanted:
            # By parts: the length is the target's word, and nothing need stand behind it.
            part = min(wanted - len(found), _READ_BYTES_MAX)
            try:
                more = os.pread(self._descriptor, part, address + len(found))
            except OSError:
                break
            if not more:
                break
            found += more
        if length and not found:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        return bytes(found)

    def read_string(self, address: int) -> bytes:
        """Return a NUL-terminated string, without its NUL. Raises EFAULT, ENAMETOOLONG."""
        found = b""
        while len(found) < PATH_BYTES_MAX:
            # Never past the page: the next one need not be mapped.
            length = min(_STRING_BYTES, _PAGE_BYTES - address % _PAGE_BYTES)
            text, end, _ = self.read(address, length).partition(b"\0")
            found += text
            if end:
                return found
            address += length
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))

    def read_vector(self, address: int, count: int) -> bytes:
        """Return what an array of `count` struct iovec points at, joined, up to the first gap.

        Raises OSError: EINVAL for a count or a length out of range, EFAULT where nothing is there.
        """
        if not 0 <= count <= _VECTORS_MAX:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if not count:
            return b""
        pairs = self.unpack(struct.Struct(f"={2 * count}q"), address)
        if min(pairs[1::2]) < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        found: list[bytes] = []
        for base, length in zip(pairs[::2], pairs[1::2], strict=True):
            try:
                part = self.read(base, length)
            except OSError as error:
                if error.errno == errno.EFAULT and any(found):
                    break
                raise
            found.append(part)
            if len(part) < length:
                break
        return b"".join(found)

    def unpack(self, structure: struct.Struct, address: int) -> tuple[Any, ...]:
        """Return the fields of a structure. Raises EFAULT where not all of it is there."""
        data = self.read(address, structure.size)
        if len(data) < structure.size:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        return structure.unpack(data)
