import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from durability.errors import TargetError
from durability.recovery import process
from durability.recovery.process import Ended, run
from durability.targets.contract import Call, Command, Launch

LONG_S = 60.0  # far beyond what any of these takes: reaching it fails the test
MEBIBYTE = 1 << 20


def finish(
    launch: Launch,
    *,
    timeout_s: float = LONG_S,
    stdout_limit_bytes: int = MEBIBYTE,
    stderr_limit_bytes: int = MEBIBYTE,
) -> Ended:
    ended = run(
        launch,
        timeout_s=timeout_s,
        stdout_limit_bytes=stdout_limit_bytes,
        stderr_limit_bytes=stderr_limit_bytes,
    )
    assert ended.elapsed_s < LONG_S
    return ended


def shell(script: str, *, cwd: str = "/", **env: str) -> Command:
    return Command(("/bin/sh", "-c", script), {"PATH": os.defpath, **env}, cwd)


def write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_command_has_its_arguments_environment_and_directory(tmp_path: Path) -> None:
    ended = finish(shell('pwd; echo "$0 $WHO"; env | wc -l', cwd=str(tmp_path), WHO="me"))
    where, who, variables = ended.stdout.decode().splitlines()
    assert (where, who) == (str(tmp_path), "/bin/sh me")
    assert int(variables) == 3  # PATH, WHO, and the shell's own PWD
    assert (ended.exit_status, ended.signal) == (0, None)


def test_stdin_is_empty() -> None:
    ours, kept_open = os.pipe()
    saved = os.dup(0)
    os.dup2(ours, 0)
    try:
        assert finish(shell("cat")).exit_status == 0
    finally:
        os.dup2(saved, 0)
        for descriptor in (ours, kept_open, saved):
            os.close(descriptor)


def test_command_ignores_no_signal() -> None:
    ignored = finish(Command(("/bin/grep", "SigIgn", "/proc/self/status"), {}, "/")).stdout
    mask = int(ignored.split()[1], 16)
    assert not mask & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1)


@pytest.mark.parametrize("status", [0, 1, 127, 255])
def test_exit_status(status: int) -> None:
    ended = finish(shell(f"exit {status}"))
    assert (ended.exit_status, ended.signal) == (status, None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_signal(number: signal.Signals) -> None:
    ended = finish(shell(f"kill -{int(number)} $$"))
    assert (ended.exit_status, ended.signal) == (None, number)


def test_command_that_cannot_be_executed_is_not_a_failed_recovery(tmp_path: Path) -> None:
    no_shebang = tmp_path / "program"
    no_shebang.write_text("exit 0\n")
    no_shebang.chmod(0o755)
    with pytest.raises(TargetError, match=r"program.*Exec format error"):
        finish(Command((str(no_shebang),), {}, "/"))
    with pytest.raises(TargetError, match=r"nowhere.*No such file"):
        finish(shell("exit 0", cwd=str(tmp_path / "nowhere")))


def test_both_streams_are_read_at_once_and_bounded() -> None:
    def flood() -> None:
        for _ in range(64):
            write_all(1, b"o" * MEBIBYTE)
            write_all(2, b"e" * MEBIBYTE)
        write_all(2, b"last words")

    ended = finish(Call(flood), stdout_limit_bytes=1000, stderr_limit_bytes=100)
    assert ended.stdout == b"o" * 1000
    assert ended.stdout_bytes == 64 * MEBIBYTE
    assert ended.stderr == b"e" * 90 + b"last words"


def test_what_hangs_is_killed_at_its_deadline() -> None:
    ended = finish(shell("echo begun; exec sleep 1000"), timeout_s=0.5)
    assert (ended.exit_status, ended.signal) == (None, None)
    assert ended.stdout == b"begun\n"


def test_what_had_exited_when_its_time_was_over_has_exited(monkeypatch: pytest.MonkeyPatch) -> None:
    def overslept(children: Iterable[process._Child], *_: object) -> None:
        for child in children:
            os.waitid(os.P_PID, child.number, os.WEXITED | os.WNOWAIT)

    monkeypatch.setattr(process, "_follow", overslept)
    ended = finish(shell("echo all said; exit 3"))
    assert (ended.exit_status, ended.signal, ended.stdout) == (3, None, b"all said\n")
    killed = finish(shell("kill -KILL $$"))
    assert (killed.exit_status, killed.signal) == (None, signal.SIGKILL)


def test_what_is_there_at_the_deadline_is_taken_in() -> None:
    """The deadline has passed before the first look."""
    ready, ready_write = os.pipe()

    def print_and_wait() -> None:
        os.write(1, b"x")
        os.write(ready_write, b"x")
        signal.pause()

    child = process._Child(Call(print_and_wait), MEBIBYTE, MEBIBYTE)
    os.read(ready, 1)
    process._follow([child], child.has_ended, time.monotonic() - 1)
    assert child.stdout == b"x"
    child.kill()
    assert child.code is None
    child.close()
    for descriptor in (ready, ready_write):
        os.close(descriptor)


def test_time_in_which_we_were_stopped_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = time.monotonic
    looks = 0

    def as_if_stopped_for_a_day() -> float:
        nonlocal looks
        looks += 1
        return clock() + (86400 if looks > 3 else 0)

    monkeypatch.setattr(process.time, "monotonic", as_if_stopped_for_a_day)
    ended = run(shell("echo begun; sleep 1; exit 3"), timeout_s=LONG_S)
    assert looks > 3
    assert ended.exit_status == 3


def test_what_prints_for_ever_is_killed_at_its_deadline() -> None:
    ended = finish(Command(("/usr/bin/yes",), {}, "/"), timeout_s=0.2, stdout_limit_bytes=10)
    assert (ended.exit_status, ended.signal) == (None, None)
    assert ended.stdout == b"y\n" * 5


def test_it_may_live_on_after_closing_stdout() -> None:
    ended = finish(shell(f"exec >&-; {sys.executable} -c pass; exit 3"))
    assert (ended.exit_status, ended.stdout) == (3, b"")
    assert finish(shell("exec >&-; exec sleep 1000"), timeout_s=0.2).exit_status is None


def test_what_a_left_behind_process_prints_is_not_lost() -> None:
    def leave_behind() -> None:
        parent = os.getpid()
        if os.fork() == 0:
            while os.getppid() == parent:  # until it has exited
                os.sched_yield()
            sum(range(3_000_000))  # long enough to be killed by who does not wait
            os.write(1, b"late\n")
            os._exit(5)

    ended = finish(Call(leave_behind))
    assert (ended.exit_status, ended.stdout) == (0, b"late\n")


def left_behind(prepare: Callable[[], object]) -> Callable[[], None]:
    """Leave a process behind that never ends, and print its number."""

    def function() -> None:
        prepared, ready = os.pipe()
        stray = os.fork()
        if stray == 0:
            prepare()
            os.write(ready, b".")
            while True:
                signal.pause()
        os.read(prepared, 1)
        sys.stdout.write(f"{stray}\n")

    return function


def test_left_behind_process_with_stdout_open_ends_at_the_deadline() -> None:
    ended = finish(Call(left_behind(lambda: None)), timeout_s=0.5)
    assert ended.exit_status == 0
    assert not is_alive(int(ended.stdout))


def leave_the_session() -> None:
    os.setsid()
    os.close(1)


@pytest.mark.parametrize("prepare", [lambda: os.close(1), leave_the_session])
def test_left_behind_process_without_stdout_ends_at_once(prepare: Callable[[], object]) -> None:
    ended = finish(Call(left_behind(prepare)))
    assert ended.exit_status == 0
    assert not is_alive(int(ended.stdout))


def test_bystanders_live_on() -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as bystander:
        finish(Call(left_behind(leave_the_session)))
        assert bystander.poll() is None
        bystander.communicate()
    assert bystander.returncode == 0


def test_signals_for_our_group_are_not_for_it() -> None:
    ended = finish(Call(lambda: os._exit(os.getsid(0) != os.getpid())))
    assert ended.exit_status == 0


def test_call_prints_on_streams_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    def speak() -> None:
        sys.stdout.write("printed \udc80\n")
        os.write(1, b"written\n")
        sys.stderr.write("complained\n")
        sys.stdout.write("unfinished")

    ended = finish(Call(speak))
    assert ended.stdout == b"printed \\udc80\nwritten\nunfinished"
    assert ended.stderr == b"complained\n"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", [ValueError("torn"), SystemExit(0), KeyboardInterrupt()])
def test_call_that_raises_failed(error: BaseException) -> None:
    def fail() -> None:
        raise error

    ended = finish(Call(fail))
    assert (ended.exit_status, ended.signal) == (1, None)
    assert type(error).__name__ in ended.stderr.decode().splitlines()[-1]


def test_call_leaves_the_buffers_of_its_parent_alone(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w") as file:
        file.write("once")
        finish(Call(lambda: None))
    assert (tmp_path / "file").read_text() == "once"


def test_nothing_stays_open() -> None:
    finish(Call(lambda: None))
    before = os.listdir("/proc/self/fd")
    finish(shell("exit 1"))
    finish(Call(lambda: None))
    with pytest.raises(TargetError):
        finish(Command(("/nonexistent",), {}, "/"))
    assert os.listdir("/proc/self/fd") == before


def test_it_dies_with_its_parent() -> None:
    program = """
import os, signal, sys
from durability.recovery.process import run
from durability.targets.contract import Call
def wait():
    os.write(int(sys.argv[1]), b".")
    signal.pause()
run(Call(wait), timeout_s=1000)
"""
    ours, theirs = os.pipe()
    command = [sys.executable, "-c", program, str(theirs)]
    with subprocess.Popen(command, pass_fds=[theirs]) as parent:
        os.close(theirs)
        assert os.read(ours, 1) == b"."
        parent.kill()
        assert select.select([ours], [], [], LONG_S)[0]  # closed once both are dead
        assert os.read(ours, 1) == b""
    os.close(ours)
