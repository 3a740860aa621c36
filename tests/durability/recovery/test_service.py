"""A recovery that starts a server again, waits until it is ready, and asks it by a client."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest

from durability.recovery.process import Ended, run
from durability.targets.contract import Call, Command, Ready, Service
from durability.targets.port import free_port

LONG_S = 60.0  # far beyond what any of these takes: reaching it fails the test
SHORT_S = 0.5


def say(text: str) -> None:
    os.write(1, text.encode())


def answer(port: int) -> None:
    """Serve the number of this process on a port, for ever."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(f"served by {os.getpid()}\n".encode())


def ask(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as server:
        say(server.makefile().readline())


def serve_for_ever() -> None:
    signal.pause()


def finish(
    server: Callable[[], None],
    client: Callable[[], None],
    ready: Ready | None = None,
    timeout_s: float = LONG_S,
) -> Ended:
    ended = run(Service(Call(server), Call(client), ready), timeout_s=timeout_s)
    assert ended.elapsed_s < LONG_S
    return ended


def is_alive(process: int) -> bool:
    return os.path.exists(f"/proc/{process}")


def test_client_asks_once_the_server_listens_and_its_word_counts() -> None:
    port = free_port()
    ended = finish(partial(answer, port), partial(ask, port), port)
    assert (ended.exit_status, ended.signal) == (0, None)
    served = re.fullmatch(rb"served by (\d+)\n", ended.stdout)
    assert served is not None
    assert not is_alive(int(served[1]))


def test_client_begins_once_a_line_of_the_server_matches() -> None:
    reader, writer = os.pipe()

    def serve() -> None:
        say("starting up\nrea")
        os.write(2, b"ready\n")  # not its stdout
        say("dy: no line yet")
        os.write(writer, b"server ")
        say("\n")
        serve_for_ever()

    def speak() -> None:
        os.write(writer, b"client")

    os.set_blocking(reader, False)
    assert finish(serve, speak, re.compile("^ready")).exit_status == 0
    assert os.read(reader, 100) == b"server client"
    os.close(reader)
    os.close(writer)


def test_what_the_server_prints_is_not_what_recovery_found() -> None:
    def serve() -> None:
        say("item of the server\n")
        serve_for_ever()

    ended = finish(serve, lambda: say("item of the client\n"), re.compile("item"))
    assert ended.stdout == b"item of the client\n"
    assert ended.stdout_bytes == len(ended.stdout)


def test_commands_serve_and_ask_too() -> None:
    server = Command(("/bin/sh", "-c", "echo up; exec sleep 1000"), {"PATH": os.defpath}, "/")
    client = Command(("/bin/echo", "item"), {}, "/")
    ended = run(Service(server, client, re.compile("up")), timeout_s=LONG_S)
    assert (ended.exit_status, ended.stdout) == (0, b"item\n")


def fail_with(status: int, words: str) -> None:
    os.write(2, words.encode())
    os._exit(status)


def test_client_that_fails() -> None:
    ended = finish(serve_for_ever, partial(fail_with, 3, "nothing there"))
    assert (ended.exit_status, ended.stderr) == (3, b"nothing there")


def test_server_that_fails_before_it_is_ready() -> None:
    spoken = finish(partial(fail_with, 7, "the log is torn"), lambda: say("asked"), free_port())
    assert (spoken.exit_status, spoken.stderr) == (7, b"the log is torn")
    assert spoken.stdout == b""


def test_server_that_fails_while_it_is_asked_has_the_last_word() -> None:
    def fail_when_told() -> None:
        os.read(reader, 1)
        fail_with(9, "panic")

    def ask_for_ever() -> None:
        os.write(2, b"asking ")
        os.write(writer, b".")
        signal.pause()

    reader, writer = os.pipe()
    ended = finish(fail_when_told, ask_for_ever)
    assert (ended.exit_status, ended.stderr) == (9, b"asking panic")
    os.close(reader)
    os.close(writer)


def test_server_that_dies() -> None:
    ended = finish(lambda: os.kill(os.getpid(), signal.SIGUSR1), serve_for_ever, free_port())
    assert (ended.exit_status, ended.signal) == (None, signal.SIGUSR1)


def test_server_that_is_done_leaves_the_word_to_its_client() -> None:
    ended = finish(lambda: os._exit(0), lambda: say("item\n"), free_port())
    assert (ended.exit_status, ended.stdout) == (0, b"item\n")


def test_server_that_never_gets_ready_hangs() -> None:
    ended = finish(serve_for_ever, lambda: say("asked"), free_port(), SHORT_S)
    assert (ended.exit_status, ended.signal, ended.stdout) == (None, None, b"")


def test_client_that_would_fail_without_its_server_hangs_if_it_is_killed_before_that() -> None:
    reader, writer = os.pipe()

    def serve() -> None:
        os.write(writer, b"%d" % os.getpid())
        serve_for_ever()

    def fail_once_nobody_serves() -> None:
        server = os.pidfd_open(int(os.read(reader, 100)))
        select.select([server], [], [])
        os._exit(1)

    ended = finish(serve, fail_once_nobody_serves, timeout_s=SHORT_S)
    os.close(reader)
    os.close(writer)
    assert (ended.exit_status, ended.signal) == (None, None)


LEFT_BEHIND = """
import signal, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
signal.pause()
"""


def test_a_server_of_somebody_else_is_not_asked() -> None:
    port = free_port()
    command = [sys.executable, "-c", LEFT_BEHIND, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as left_behind:
        assert left_behind.stdout is not None
        left_behind.stdout.readline()
        ended = finish(serve_for_ever, lambda: say("asked"), port, SHORT_S)
        left_behind.kill()
    assert (ended.exit_status, ended.signal, ended.stdout) == (None, None, b"")


def test_a_process_that_the_server_started_may_listen() -> None:
    port = free_port()

    def serve_by_a_child() -> None:
        if os.fork() == 0:
            os.setsid()
            answer(port)
        signal.pause()

    ended = finish(serve_by_a_child, partial(ask, port), port)
    assert ended.exit_status == 0
    assert not is_alive(int(ended.stdout.split()[-1]))


def test_client_that_hangs_is_killed_at_the_deadline_with_its_server() -> None:
    port = free_port()

    def ask_and_wait() -> None:
        ask(port)
        signal.pause()

    ended = finish(partial(answer, port), ask_and_wait, port, SHORT_S)
    assert (ended.exit_status, ended.signal) == (None, None)
    assert not is_alive(int(ended.stdout.split()[-1]))


@pytest.mark.parametrize("server", [serve_for_ever, lambda: os._exit(1)])
def test_nothing_stays_open(server: Callable[[], None]) -> None:
    finish(serve_for_ever, lambda: None)
    before = os.listdir("/proc/self/fd")
    finish(server, lambda: None)
    assert os.listdir("/proc/self/fd") == before
