"""A file system in memory, on a loop device, whose power can be cut.

The image lies on a tmpfs. To be used where `kernel.enter_private_mounts` was called: mounts, loop
device and image vanish with the process, whatever ends it.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from types import TracebackType
from typing import Final, Literal, Self

import msgspec

from durability.crash.validation import kernel
from durability.errors import MechanismError

Kind = Literal["ext4", "xfs", "btrfs"]

_MIB: Final = 1 << 20
_BURDEN_BYTES: Final = 4 * _MIB


class _Making(msgspec.Struct, frozen=True):
    """How a file system is made, and the Debian package that has what it takes."""

    command: tuple[str, ...]
    image_bytes: int
    package: str


_MAKING: Final[dict[Kind, _Making]] = {
    # Blocks of 4 KiB, as on every disk that is not tiny.
    "ext4": _Making(("mkfs.ext4", "-q", "-F", "-b", "4096"), 64 * _MIB, "e2fsprogs"),
    "xfs": _Making(("mkfs.xfs", "-q", "-f"), 300 * _MIB, "xfsprogs"),
    "btrfs": _Making(("mkfs.btrfs", "-q", "-f"), 128 * _MIB, "btrfs-progs"),
}


def unavailable(kind: Kind) -> str | None:
    """Say why a kind of file system cannot be made and mounted here; None where it can."""
    if os.geteuid():
        return "loop mounts need root"
    if not os.access("/dev/loop-control", os.R_OK | os.W_OK):
        return "there is no /dev/loop-control"
    making = _MAKING[kind]
    if shutil.which(making.command[0]) is None:
        return f"{making.command[0]} is missing: apt-get install {making.package}"
    with open("/proc/filesystems", encoding="ascii") as file:
        if kind not in file.read().split():
            return f"the kernel has no {kind}"
    return None


class LoopFileSystem:
    """A mounted file system; a context manager. `root` is a directory in it, empty at first."""

    def __init__(self, kind: Kind, options: str, directory: str, room_bytes: int = 0) -> None:
        """Prepare to work below an existing directory, over which a tmpfs is mounted.

        There will be so much more room than on the smallest file system of this kind.
        """
        self._mounted = os.path.join(directory, "mounted")
        self.root = os.path.join(self._mounted, "root")
        self._kind = kind
        self._options = f"loop,{options}" if options else "loop"
        self._directory = directory
        self._image_bytes = _MAKING[kind].image_bytes + room_bytes
        self._image = os.path.join(directory, "image")
        self._kept = os.path.join(directory, "kept")

    def __enter__(self) -> Self:
        _run("mount", "-t", "tmpfs", "tmpfs", self._directory)
        os.mkdir(self._mounted)
        with open(self._image, "xb") as image:
            image.truncate(self._image_bytes)
        _run(*_MAKING[self._kind].command, self._image)
        self._mount()
        self._begin()
        if not self.is_copied:
            self._write_burden(os.fsync)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        _run("umount", self._mounted)
        # The loop device may hold the image a little longer than the mount that it was made for.
        _run("umount", "--lazy", self._directory)

    def cut_power(self) -> None:
        """Keep what is on the device, and no more; files may still be open."""
        if self.is_copied:
            # It has no such call. What is in its image now is what a power cut would leave.
            _run("cp", "--sparse=always", self._image, f"{self._image}.cut")
        else:
            kernel.cut_power(self._mounted)

    def recover(self) -> None:
        """Mount what a power cut has left; files are closed by now."""
        _run("umount", self._mounted)
        if self.is_copied:
            os.replace(f"{self._image}.cut", self._image)
        self._mount()

    def remount(self) -> None:
        """Unmount, which loses nothing, and mount again; files are closed by now."""
        _run("umount", self._mounted)
        self._mount()

    def clear(self) -> None:
        """Empty the root, durably."""
        shutil.rmtree(self.root)
        self._begin()

    def keep(self) -> None:
        """Copy what is in the root to memory, in place of what was kept before."""
        shutil.rmtree(self._kept, ignore_errors=True)
        _copy(self.root, self._kept)

    def restore(self) -> None:
        """Have in the root what was kept, and nothing else."""
        shutil.rmtree(self.root)
        _copy(self._kept, self.root)

    def _begin(self) -> None:
        os.mkdir(self.root)
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            kernel.sync_file_system(descriptor)
        finally:
            os.close(descriptor)

    def commit(self) -> None:
        """Have the file system commit its log, as it does of its own accord from time to time."""
        if self._kind == "btrfs":
            kernel.commit_btrfs(self._mounted)
            return
        # A sync of what lies outside of the root commits all that was logged before.
        descriptor = os.open(
            os.path.join(self._mounted, "aside"), os.O_CREAT | os.O_WRONLY | os.O_APPEND
        )
        try:
            os.write(descriptor, b"x")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def burden(self) -> None:
        """Give the device so much to write that what is written next has to wait.

        Where a cut copies the image, nothing may be under way, and nothing is done.
        """
        if not self.is_copied:
            self._write_burden(lambda to: kernel.write_back(to, 0, _BURDEN_BYTES, wait=False))

    def _write_burden(self, pass_on: Callable[[int], None]) -> None:
        """Write to a file aside: in place but for the first time, with no use for a log."""
        path = os.path.join(self._mounted, "burden")
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
        try:
            os.pwrite(descriptor, bytes(_BURDEN_BYTES), 0)
            pass_on(descriptor)
        finally:
            os.close(descriptor)

    @property
    def is_copied(self) -> bool:
        """Whether a cut copies the image, which nothing may write to meanwhile."""
        return self._kind == "btrfs"

    def _mount(self) -> None:
        _run("mount", "-t", self._kind, "-o", self._options, self._image, self._mounted)


def _copy(source: str, destination: str) -> None:
    """Copy a directory to where nothing is. Holes stay holes, or there might be no room."""
    _run("cp", "--archive", "--sparse=always", source, destination)


def _run(*command: str) -> None:
    """Run a program. Raises MechanismError with what it says if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise MechanismError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise MechanismError(f"{' '.join(command)}: {done.stderr.strip()}")
