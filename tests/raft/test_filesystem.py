import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from raft.errors import DirectoryLockedError, DiskError
from raft.filesystem import File, LocalFilesystem, read_all, replace_file

LOCK_AND_WAIT = """
import sys
from raft.filesystem import LocalFilesystem
LocalFilesystem(sys.argv[1]).lock()
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_file_is_written_at_its_end_and_read_anywhere(tmp_path: Path) -> None:
    filesystem = LocalFilesystem(tmp_path)
    file = filesystem.create("a")
    file.append(b"0123")
    file.append(b"456789")
    file.overwrite(2, b"xy")
    assert (file.size(), file.read(1, 4), file.read(8, 100)) == (10, b"1xy4", b"89")
    file.truncate(3)
    file.append(b"!")
    file.sync()
    file.close()
    file = filesystem.open("a")
    file.append(b"?")
    file.sync_data()
    file.close()
    assert read_all(filesystem, "a") == b"01x!?"
    assert filesystem.names() == ["a"]
    filesystem.rename("a", "b")
    assert filesystem.names() == ["b"]
    filesystem.unlink("b")
    filesystem.sync()
    assert filesystem.names() == []
    filesystem.close()


def test_a_short_write_goes_on_until_the_error_that_stopped_it(tmp_path: Path) -> None:
    """RLIMIT_FSIZE cuts a write short, and fails the next one."""
    filesystem = LocalFilesystem(tmp_path)
    file = filesystem.create("a")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(DiskError) as caught:
            file.append(bytes(1500))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EFBIG
    assert file.size() == 1000
    file.close()
    filesystem.close()


def test_a_short_write_that_can_go_on_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, pwrite, pread = os.write, os.pwrite, os.pread
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data[:3])))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, bytes(data[:3]), at))
    monkeypatch.setattr(os, "pread", lambda fd, size, at: pread(fd, min(size, 3), at))
    filesystem = LocalFilesystem(tmp_path)
    file = filesystem.create("a")
    file.append(b"0123456789")
    file.overwrite(1, b"abcdefg")
    assert file.read(0, 10) == b"0abcdefg89"
    file.close()
    filesystem.close()


@pytest.mark.parametrize(
    "attempt",
    [
        lambda filesystem: filesystem.open("absent"),
        lambda filesystem: filesystem.create("present"),
        lambda filesystem: filesystem.unlink("absent"),
        lambda filesystem: filesystem.rename("absent", "other"),
    ],
)
def test_what_the_system_refuses_is_a_disk_error_that_names_the_path(
    tmp_path: Path, attempt: Callable[[LocalFilesystem], object]
) -> None:
    filesystem = LocalFilesystem(tmp_path)
    filesystem.create("present").close()
    with pytest.raises(DiskError, match=str(tmp_path)) as caught:
        attempt(filesystem)
    assert isinstance(caught.value.__cause__, OSError)
    filesystem.close()


@pytest.mark.parametrize("method", ["sync", "sync_data", "size", "close"])
def test_a_bad_descriptor_is_a_disk_error(tmp_path: Path, method: str) -> None:
    filesystem = LocalFilesystem(tmp_path)
    file = filesystem.create("a")
    file.close()
    with pytest.raises(DiskError, match="Bad file descriptor"):
        getattr(file, method)()
    filesystem.close()


def test_a_missing_directory_is_a_disk_error(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="absent"):
        LocalFilesystem(tmp_path / "absent")


def test_a_second_process_is_kept_out_until_the_first_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOCK_AND_WAIT, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        filesystem = LocalFilesystem(tmp_path)
        with pytest.raises(DirectoryLockedError, match=str(tmp_path)):
            filesystem.lock()
        process.kill()
        process.wait()
        filesystem.lock()
        filesystem.close()
    assert list(tmp_path.iterdir()) == []


def test_the_lock_is_released_by_close(tmp_path: Path) -> None:
    first, second = LocalFilesystem(tmp_path), LocalFilesystem(tmp_path)
    first.lock()
    with pytest.raises(DirectoryLockedError):
        second.lock()
    first.close()
    second.lock()
    second.close()


def test_replacing_a_file_syncs_it_before_its_name_and_its_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filesystem = LocalFilesystem(tmp_path)
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename

    def traced_fsync(descriptor: int) -> None:
        calls.append(f"fsync {os.readlink(f'/proc/self/fd/{descriptor}')}")
        fsync(descriptor)

    def traced_rename(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        calls.append(f"rename {old} {new}")
        rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", traced_fsync)
    monkeypatch.setattr(os, "rename", traced_rename)

    def write(file: File) -> None:
        file.append(b"new")

    replace_file(filesystem, "a", write)
    assert calls == [f"fsync {tmp_path}/a.tmp", "rename a.tmp a", f"fsync {tmp_path}"]
    assert read_all(filesystem, "a") == b"new"
    filesystem.close()
