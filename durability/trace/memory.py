"""Reading what a notified call points at: buffers, paths and vectors of a stopped thread."""

import errno
import os
import struct
from typing import Final

PATH_BYTES_MAX: Final = 4096
_CHUNK_BYTES: Final = 256
_MEMORY_PAGE_BYTES: Final = 4096


class Memory:
    """The address space of one process, read through /proc.

    `/proc/PID/mem` stays bound to the address space it was opened on: after an exec it reads
    nothing, and is opened again.
    """

    def __init__(self, process: int) -> None:
        self._path = f"/proc/{process}/mem"
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of the address space."""
        os.close(self._descriptor)

    def read(self, address: int, length: int) -> bytes:
        """Return up to `length` bytes; fewer where the mapping ends. Raises EFAULT for none."""
        if not length:
            return b""
        found = self._read(address, length)
        if len(found) < length:
            os.close(self._descriptor)
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            found = self._read(address, length)
        if not found:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        return found

    def _read(self, address: int, length: int) -> bytes:
        try:
            found = os.pread(self._descriptor, length, address)
            # One read of /proc/PID/mem is cut at 2 GiB and may be short at any page.
            while 0 < len(found) < length:
                more = os.pread(self._descriptor, length - len(found), address + len(found))
                if not more:
                    break
                found += more
        except (OSError, OverflowError):
            return b""
        return found

    def read_string(self, address: int) -> bytes:
        """Return a NUL-terminated string, without its NUL. Raises EFAULT, ENAMETOOLONG."""
        found = b""
        while len(found) < PATH_BYTES_MAX:
            # Never past the page: the next one need not be mapped.
            length = min(_CHUNK_BYTES, _MEMORY_PAGE_BYTES - address % _MEMORY_PAGE_BYTES)
            chunk = self.read(address, length)
            text, end, _ = chunk.partition(b"\0")
            found += text
            if end:
                return found
            address += length
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))

    def read_vector(self, address: int, count: int) -> bytes:
        """Return what an array of `count` struct iovec points at, joined."""
        if not count:
            return b""
        pairs = struct.unpack(f"={2 * count}Q", self.read(address, 16 * count))
        parts = zip(pairs[::2], pairs[1::2], strict=True)
        return b"".join([self.read(base, length) for base, length in parts])
