"""A traced server that is driven by a client which is not."""

import fcntl
import os
import re
import signal
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from durability.errors import MechanismError
from durability.targets.contract import Call, Command, Program, Ready, Service
from durability.targets.port import free_port
from durability.trace.kill_order import KillOrder
from durability.trace.processes import descendants
from durability.trace.records import Output, Sync, Write
from durability.trace.supervisor import Run, Supervisor
from tests.durability.trace.alone import alone, python

REQUESTS = 20


def serve(log: Path, port: int) -> None:
    """Append each request to a log, sync it, and reply."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    with socket.create_server(("127.0.0.1", port)) as listener:
        connection, _ = listener.accept()
        while request := connection.recv(1):
            os.write(descriptor, request)
            os.fdatasync(descriptor)
            connection.sendall(b"!")
    signal.pause()


def drive(port: int, requests: int = REQUESTS) -> None:
    with socket.create_connection(("127.0.0.1", port)) as server:
        for number in range(requests):
            os.write(1, b"item %d\n" % number)
            server.sendall(b"x")
            assert server.recv(1) == b"!"
            os.write(1, b"ack %d\n" % number)


def run(
    server: Program,
    client: Program,
    root: Path,
    ready: Ready | None = None,
    order: KillOrder | None = None,
    deadline_s: float = 60.0,
) -> Run:
    service = Service(server, client, ready)
    return alone(lambda: Supervisor().run(service, str(root), order, deadline_s))


def run_log(root: Path, order: KillOrder | None = None) -> Run:
    port = free_port()
    return run(
        Call(partial(serve, root / "log", port)), Call(partial(drive, port)), root, port, order
    )


def test_acknowledgements_stand_between_their_sync_and_the_next_write(root: Path) -> None:
    result = run_log(root)
    kinds: list[str] = []
    for record in result.trace.records:
        if isinstance(record, Output):
            kinds += [line.split()[0].decode() for line in record.data.splitlines()]
        elif isinstance(record, Write | Sync):
            kinds.append(type(record).__name__)
    assert kinds == ["item", "Write", "Sync", "ack"] * REQUESTS
    assert result.differences == []


def test_the_run_ends_with_the_client(root: Path) -> None:
    result = run_log(root)
    assert (result.signal, result.reached, result.fault) == (signal.SIGKILL, False, "")
    assert result.trace.kill() is not None


@pytest.mark.parametrize("offset", [1, 7, REQUESTS])
def test_the_server_is_killed_at_an_exact_byte(root: Path, offset: int) -> None:
    result = run_log(root, KillOrder(offset))
    assert result.landed()
    assert (root / "log").read_bytes() == b"x" * offset
    heard = list(result.trace.lines())
    assert heard.count(f"item {offset - 1}") == 1
    assert f"ack {offset - 1}" not in heard
    assert heard[-2:] == ([f"ack {offset - 2}"] if offset > 1 else []) + [f"item {offset - 1}"] or (
        offset == 1 and heard == ["item 0"]
    )


def test_a_kill_may_come_before_the_server_is_ready(root: Path) -> None:
    def start_up() -> None:
        os.write(os.open(root / "log", os.O_WRONLY | os.O_CREAT), b"starting")
        signal.pause()

    result = run(Call(start_up), Call(lambda: None), root, free_port(), KillOrder(3))
    assert result.landed()
    assert result.fault == ""


def test_a_reply_that_was_read_before_the_kill_counts(root: Path) -> None:
    """The server replies and goes on; what it is killed in has nothing to do with the reply."""
    port = free_port()

    def reply_then_write() -> None:
        log = os.open(root / "log", os.O_WRONLY | os.O_CREAT)
        with socket.create_server(("127.0.0.1", port)) as listener:
            connection, _ = listener.accept()
            connection.recv(1)
            os.write(log, b"promised")
            connection.sendall(b"!")
            connection.recv(1)  # the client has heard
            os.write(log, b"later")

    def ask() -> None:
        with socket.create_connection(("127.0.0.1", port)) as server:
            server.sendall(b"?")
            server.recv(1)
            os.write(1, b"ack\n")
            server.sendall(b"?")
            signal.pause()

    result = run(Call(reply_then_write), Call(ask), root, port, KillOrder(10))
    assert result.landed()
    assert list(result.trace.lines()) == ["ack"]
    kinds = [type(record) for record in result.trace.records if not isinstance(record, Sync)]
    assert kinds[-3] is Output
    assert kinds[-2] is Write


def test_the_client_runs_natively_and_its_files_are_no_part_of_the_trace(root: Path) -> None:
    def touch() -> None:
        os.close(os.open(root.parent / "elsewhere", os.O_WRONLY | os.O_CREAT))
        descriptor = os.open(root.parent / "elsewhere", os.O_WRONLY)
        with open("/proc/self/status", encoding="ascii") as status:
            (filters,) = (line for line in status if line.startswith("Seccomp_filters"))
        mask = os.umask(0)
        os.write(1, f"{descriptor < 1000} {filters.split()[1]} {mask:o}\n".encode())

    os.umask(0o27)
    result = run(Call(signal.pause), Call(touch), root)
    os.umask(0o22)
    assert list(result.trace.lines()) == ["True 0 27"]
    assert [r for r in result.trace.records if isinstance(r, Write)] == []


def test_the_client_keeps_no_lock_of_the_server_alive(root: Path) -> None:
    """It is forked while the supervisor holds copies of the server's open files."""
    port = free_port()

    def lock_twice() -> None:
        first = os.open(root / "lock", os.O_WRONLY | os.O_CREAT)
        fcntl.flock(first, fcntl.LOCK_EX)
        with socket.create_server(("127.0.0.1", port)) as listener:
            listener.accept()
        os.close(first)
        fcntl.flock(os.open(root / "lock", os.O_WRONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.mkdir(root / "locked")
        signal.pause()

    def wait_for_it() -> None:
        socket.create_connection(("127.0.0.1", port))
        while not (root / "locked").exists():
            os.sched_yield()

    result = run(Call(lock_twice), Call(wait_for_it), root, port)
    assert result.fault == ""
    assert (root / "locked").is_dir()


def test_readiness_by_a_line_of_stdout_which_nobody_else_hears(root: Path) -> None:
    def start_up() -> None:
        os.write(1, b"ack 1\n")
        os.mkdir(root / "made")
        os.write(1, b"now rea")
        os.write(1, b"dy\nack 2\n")
        signal.pause()

    client = Call(lambda: os.write(1, b"%d\n" % (root / "made").is_dir()) and None)
    result = run(Call(start_up), client, root, re.compile("ready$"))
    assert list(result.trace.lines()) == ["1"]


def test_programs_serve_and_drive_too(root: Path) -> None:
    server = python(
        "import signal; open('made', 'w').close(); print('up', flush=True); signal.pause()",
        cwd=str(root),
    )
    client = Command(("/bin/echo", "ack 1"), {}, "/")
    result = run(server, client, root, re.compile("up"))
    assert list(result.trace.lines()) == ["ack 1"]
    assert (root / "made").exists()


def never(_: Path) -> None:
    signal.pause()


def fail(_: Path) -> None:
    os.write(2, b"cannot")
    os._exit(3)


def die(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


Way = Callable[[Path], None]


@pytest.mark.parametrize(
    ("server", "client", "said"),
    [
        (never, fail, "its client exited with 3"),
        (never, die, "its client died of signal 10"),
        (fail, never, "its server did not become ready"),
        (never, never, "its server did not become ready"),
    ],
)
def test_a_service_that_was_not_asked_says_why(
    root: Path, server: Way, client: Way, said: str
) -> None:
    begun = client is not never
    ready = None if begun else free_port()
    result = run(
        Call(partial(server, root)), Call(partial(client, root)), root, ready, deadline_s=1.0
    )
    assert result.fault == said
    assert not result.landed()
    if fail in (server, client):
        assert result.stderr == "cannot"


def test_a_client_that_cannot_be_started_is_refused(root: Path) -> None:
    with pytest.raises(MechanismError, match="No such file"):
        run(Call(signal.pause), Command(("/nowhere",), {}, "/"), root)


def test_a_server_that_ends_ends_the_run(root: Path) -> None:
    result = run(Call(lambda: os._exit(5)), Call(signal.pause), root)
    assert (result.exit_status, result.fault) in [(5, ""), (5, "its server did not become ready")]


def test_nothing_is_left_of_either(root: Path) -> None:
    def both() -> tuple[list[str], list[str], list[int]]:
        supervisor = Supervisor()
        service = Service(Call(signal.pause), Call(lambda: None))
        supervisor.run(service, str(root))
        before = os.listdir("/proc/self/fd")
        for client in (lambda: None, lambda: os._exit(1)):
            supervisor.run(Service(Call(signal.pause), Call(client)), str(root))
        return before, os.listdir("/proc/self/fd"), descendants(os.getpid())

    before, after, left = alone(both)
    assert before == after
    assert left == []
