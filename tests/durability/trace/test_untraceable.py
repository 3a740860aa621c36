"""What goes around the trace is named in the result, which then does not count as a landed kill."""

import ctypes
import fcntl
import mmap
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from durability.errors import MechanismError
from durability.targets.contract import Call
from durability.trace.kill_order import KillOrder
from durability.trace.records import Refused
from durability.trace.supervisor import Run, Supervisor
from tests.durability.trace.alone import alone

LIBC = ctypes.CDLL(None, use_errno=True)
MOVE_MOUNT, PIDFD_GETFD = 429, 438


def run(function: Callable[[], None], root: Path, order: KillOrder | None = None) -> Run:
    return alone(lambda: Supervisor().run(Call(function), str(root), order))


def then_write(function: Callable[[], object], root: Path) -> Callable[[], None]:
    def both() -> None:
        function()
        os.write(os.open(root / "last", os.O_WRONLY | os.O_CREAT), b"last")

    return both


@pytest.mark.parametrize(
    ("way", "named"),
    [
        (lambda root: os.dup2(os.open(root / "f", os.O_WRONLY | os.O_CREAT), 9), "dup2 to 9 of f"),
        (lambda root: store(root / "f"), "mmap of f"),
        (lambda root: across(root, "out", "f"), "rename across the root of f"),
        (lambda root: across(root, "f", "out"), "rename across the root of f"),
        (lambda root: linked(root, "out", "f"), "link from outside of the root of f"),
        (lambda root: linked(root, "f", "out"), "link to outside of the root of f"),
        (lambda _: LIBC.chroot(b"/nowhere"), "chroot"),
        (lambda _: LIBC.setns(-1, 0), "setns"),
        (lambda _: LIBC.syscall(MOVE_MOUNT, -1, b"", -1, b"", 0), "move_mount"),
        (lambda _: LIBC.open_by_handle_at(-1, None, os.O_WRONLY), "open_by_handle_at"),
        (lambda _: LIBC.syscall(PIDFD_GETFD, -1, 0, 0), "pidfd_getfd"),
        (lambda root: over_a_pipe(root / "f"), "dup2 over 1500 of f"),
    ],
)
def test_a_way_around_is_named(root: Path, way: Callable[[Path], object], named: str) -> None:
    watched = root / "watched"
    watched.mkdir()
    result = run(then_write(lambda: way(watched), watched), watched, KillOrder(4))
    assert result.reached
    assert result.trace.untraceable() == [named]
    assert not result.landed()


def over_a_pipe(path: Path) -> None:
    """Put a file where a process that was forked before may have a pipe."""
    os.dup2(os.pipe()[1], 1500)
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), 1500)


def store(path: Path) -> None:
    with open(path, "w+b") as file:
        file.truncate(4096)
        mapped = mmap.mmap(file.fileno(), 4096)
        mapped[:5] = b"store"
        mapped.flush()


def place(root: Path, name: str) -> str:
    return str(root.parent / name if name == "out" else root / name)


def across(root: Path, source: str, destination: str) -> None:
    os.close(os.open(place(root, source), os.O_WRONLY | os.O_CREAT))
    os.rename(place(root, source), place(root, destination))


def linked(root: Path, source: str, destination: str) -> None:
    os.close(os.open(place(root, source), os.O_WRONLY | os.O_CREAT))
    os.link(place(root, source), place(root, destination))


def test_a_private_or_read_only_mapping_goes_around_nothing(root: Path) -> None:
    def map_harmlessly() -> None:
        with open(root / "f", "w+b") as file:
            file.truncate(4096)
            mmap.mmap(file.fileno(), 4096, access=mmap.ACCESS_READ)
            mmap.mmap(file.fileno(), 4096, access=mmap.ACCESS_COPY)[:5] = b"store"

    assert run(then_write(map_harmlessly, root), root, KillOrder(4)).landed()


def test_a_low_number_put_over_a_watched_one(root: Path) -> None:
    """A forked process and its parent then mean different files by one number."""

    def diverge() -> None:
        file = os.open(root / "f", os.O_WRONLY | os.O_CREAT)
        child = os.fork()
        if not child:
            os.dup2(os.open("/dev/null", os.O_WRONLY), file)
            os._exit(0)
        os.waitpid(child, 0)

    (named,) = run(diverge, root).trace.untraceable()
    assert named.startswith("dup2 over 1")


def test_a_file_that_was_sent_through_a_socket_is_found_by_comparing(root: Path) -> None:
    """No filter sees what a message carries."""

    def send_to_itself() -> None:
        ours, theirs = socket.socketpair()
        socket.send_fds(ours, [b"file"], [os.open(root / "f", os.O_WRONLY | os.O_CREAT)])
        _, (received,), *_ = socket.recv_fds(theirs, 10, 1)
        os.write(received, b"unseen")

    result = run(then_write(send_to_itself, root), root, KillOrder(4))
    assert result.reached
    (difference,) = result.differences
    assert difference.startswith("file f is 6 bytes on disk, 0 in the trace")
    assert not result.landed()


@pytest.mark.parametrize("over_a_watched_one", [False, True])
def test_a_pipe_at_a_high_number_is_not_taken_for_a_file(
    root: Path, *, over_a_watched_one: bool
) -> None:
    """A forked process closes its copy of the pipe and opens a log, of which we draw the number."""

    def diverge() -> None:
        reader, writer = os.pipe()
        number = os.open(root / "f", os.O_WRONLY | os.O_CREAT)
        if not over_a_watched_one:
            number += 1
        os.dup2(writer, number)
        if os.fork():
            os.wait()
            os.write(number, b"to the pipe")
            assert os.read(reader, 100) == b"to the pipe"
        else:
            os.close(number)
            os.write(os.open(root / "log", os.O_WRONLY | os.O_CREAT), b"log")

    result = run(diverge, root)
    assert result.exit_status == 0, result.stderr
    assert result.differences == result.trace.untraceable() == []
    assert (root / "log").read_bytes() == b"log"


@pytest.mark.parametrize("command", [fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC])
def test_a_pipe_duplicated_among_the_watched_numbers(root: Path, command: int) -> None:
    """A forked process writes to a pipe by the number that means a log to its parent."""

    def diverge() -> None:
        log = os.open(root / "f", os.O_WRONLY | os.O_CREAT)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(log)
            assert fcntl.fcntl(writer, command, log) == log
            os.write(log, b"to the pipe")
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writer)
        assert not os.read(reader, 100), "the pipe was taken for the log"

    result = run(diverge, root)
    assert result.trace.untraceable() == ["F_DUPFD among the watched numbers"]
    assert not result.landed()


def test_a_watched_file_may_be_duplicated(root: Path) -> None:
    def duplicate() -> None:
        log = os.open(root / "f", os.O_WRONLY | os.O_CREAT)
        os.write(fcntl.fcntl(log, fcntl.F_DUPFD, log), b"last")

    assert run(duplicate, root, KillOrder(4)).landed()


@pytest.mark.parametrize(("number", "name"), [(425, "io_uring_setup"), (206, "io_setup")])
def test_asynchronous_interfaces_are_refused_as_by_an_old_kernel(
    root: Path, number: int, name: str
) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86_64")

    def set_up() -> None:
        result = LIBC.syscall(number, 8, ctypes.create_string_buffer(200))
        os.write(1, b"%d %d\n" % (result, ctypes.get_errno()))

    result = run(set_up, root)
    assert list(result.trace.lines()) == ["-1 38"]
    assert [r.call for r in result.trace.records if isinstance(r, Refused)] == [name]
    assert result.trace.untraceable() == []


def test_a_restricted_walk_is_refused(root: Path) -> None:
    def open_beneath() -> None:
        how = (ctypes.c_uint64 * 3)(os.O_WRONLY | os.O_CREAT, 0o600, 8)
        directory = os.open(root, os.O_RDONLY)
        result = LIBC.syscall(437, directory, b"f", how, 24)
        os.write(1, b"%d %d\n" % (result, ctypes.get_errno()))

    result = run(open_beneath, root)
    assert list(result.trace.lines()) == ["-1 38"]
    assert [r.call for r in result.trace.records if isinstance(r, Refused)] == [
        "openat2 with RESOLVE flags"
    ]


def test_files_beyond_the_limit_are_refused_and_named(root: Path) -> None:
    import resource

    def lower_and_open() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500))
        try:
            os.open(root / "f", os.O_WRONLY | os.O_CREAT)
        except OSError as error:
            os.write(1, b"%d\n" % (error.errno or 0))

    result = run(lower_and_open, root)
    assert list(result.trace.lines()) == ["24"]
    assert result.trace.untraceable() == ["open beyond RLIMIT_NOFILE of f"]
    assert not result.landed()


def test_a_process_that_closes_itself_to_us_ends_the_run(root: Path) -> None:
    def hide() -> None:
        LIBC.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
        if not os.geteuid():
            os.setuid(65534)
        os.open(root / "f", os.O_WRONLY | os.O_CREAT)

    with pytest.raises(MechanismError, match=r"cannot be read|runs as user 65534"):
        run(hide, root)


def test_a_target_that_becomes_another_user_ends_the_run(root: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can become another user")

    def change_user() -> None:
        os.close(os.open(root / "f", os.O_WRONLY | os.O_CREAT))
        os.setresuid(65534, 65534, 65534)
        os.open("/tmp/none/of/ours", os.O_WRONLY | os.O_CREAT)

    with pytest.raises(MechanismError, match="runs as user 65534"):
        run(change_user, root)
