"""The few calls on mounts and page caches that neither Python nor `trace.system` has."""

import ctypes
import fcntl
import os
import struct
from typing import Final

_C: Final = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS: Final = 0x00020000
_MS_PRIVATE_ALL: Final = 0x00040000 | 0x4000
_SHUTDOWN: Final = 0x8004587D
_NO_LOG_FLUSH: Final = struct.pack("=I", 2)
_BTRFS_START_SYNC: Final = 0x80089418
_BTRFS_WAIT_SYNC: Final = 0x40089416
_START_WRITING: Final = 2
_WRITE_AND_WAIT: Final = 7


def _check(result: int, call: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def enter_private_mounts() -> None:
    """Give this process mounts of its own, which vanish with it. Raises OSError without root."""
    _check(_C.unshare(_CLONE_NEWNS), "unshare")
    _check(_C.mount(None, b"/", None, _MS_PRIVATE_ALL, None), "mount")


def cut_power(directory: str) -> None:
    """Stop a mounted ext4 or XFS as a power cut does: FS_IOC_SHUTDOWN without a log flush."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, _SHUTDOWN, _NO_LOG_FLUSH)
    finally:
        os.close(descriptor)


def write_back(descriptor: int, offset: int, length: int, *, wait: bool) -> None:
    """Write part of a file to its blocks, as the kernel may at any time: sync_file_range(2)."""
    flags = _WRITE_AND_WAIT if wait else _START_WRITING
    place = ctypes.c_longlong(offset), ctypes.c_longlong(length)
    _check(_C.sync_file_range(descriptor, *place, flags), "sync_file_range")


def sync_file_system(descriptor: int) -> None:
    """Write all of a file system to its device: syncfs(2)."""
    _check(_C.syncfs(descriptor), "syncfs")


def commit_btrfs(directory: str) -> None:
    """End the transaction of a btrfs, as it does every 30 seconds: without writing any data."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        transaction = fcntl.ioctl(descriptor, _BTRFS_START_SYNC, bytes(8))
        fcntl.ioctl(descriptor, _BTRFS_WAIT_SYNC, transaction)
    finally:
        os.close(descriptor)
