"""However a run ends, nothing of the target is left, and nothing of the run in the supervisor."""

import os
import random
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from durability.targets.contract import Call
from durability.trace.file_calls import FileCalls
from durability.trace.kill_order import KillOrder
from durability.trace.processes import descendants
from durability.trace.supervisor import Stopped, Supervisor
from tests.durability.trace.alone import alone, python

NEVER_S = 1e6


def has_ended(process: int) -> bool:
    """Tell whether a process is gone; its number is not another's so soon."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for_ever() -> None:
    while True:
        signal.pause()


def leave_grandchildren(then: Callable[[], None]) -> Callable[[], None]:
    """Fork three ways out of sight: twice, into a session and into a group of their own."""

    def leave() -> None:
        reader, writer = os.pipe()
        ways: list[Callable[[], None]] = [lambda: None, os.setsid, lambda: os.setpgid(0, 0)]
        for away in ways:
            if not os.fork():
                away()
                if not os.fork():
                    os.write(1, b"%d\n" % os.getpid())
                    os.write(writer, b"!")
                    wait_for_ever()
                os._exit(0)
        for _ in range(3):
            os.read(reader, 1)
        then()

    return leave


def write_file(path: Path) -> None:
    os.write(os.open(path, os.O_WRONLY | os.O_CREAT), b"12345")


@pytest.mark.parametrize("order", [None, KillOrder(3)])
def test_grandchildren_do_not_outlive_the_run(root: Path, order: KillOrder | None) -> None:
    def run_and_look() -> None:
        target = Call(leave_grandchildren(lambda: write_file(root / "file")))
        run = Supervisor().run(target, str(root), order)
        strays = [int(line) for line in run.trace.lines()]
        assert len(strays) == 3
        assert all(map(has_ended, strays))
        assert run.landed() is (order is not None)

    alone(run_and_look)


def test_a_grandchild_that_goes_on_writing_does_not_prolong_the_run(root: Path) -> None:
    def write_on() -> None:
        if not os.fork():
            while True:
                os.close(os.open(root / "file", os.O_WRONLY | os.O_CREAT))
        while not (root / "file").exists():
            os.sched_yield()

    def run_and_look() -> None:
        run = Supervisor().run(Call(write_on), str(root), deadline_s=20)
        assert (run.exit_status, run.differences) == (0, [])

    alone(run_and_look)


@pytest.mark.parametrize("close", [True, False])
def test_the_control_pipe_ends_the_run(root: Path, close: bool) -> None:
    """It is the target that closes it here, or speaks: so it is in the midst of a run."""

    def run_until_stopped() -> None:
        control, other_end = os.pipe()

        def stop() -> None:
            (root / "begun").touch()
            os.kill(os.getppid(), signal.SIGUSR1)
            wait_for_ever()

        def target() -> None:
            os.close(other_end)
            leave_grandchildren(stop)()

        def close_or_speak(*_: object) -> None:
            if close:
                os.close(other_end)
            else:
                os.write(other_end, b"!")

        signal.signal(signal.SIGUSR1, close_or_speak)
        with pytest.raises(Stopped):
            Supervisor(control).run(Call(target), str(root), deadline_s=NEVER_S)
        assert descendants(os.getpid()) == []
        assert (root / "begun").exists()

    alone(run_until_stopped)


def test_an_interrupt_leaves_nothing(root: Path) -> None:
    def run_until_interrupted() -> None:
        def interrupt() -> None:
            os.kill(os.getppid(), signal.SIGINT)
            wait_for_ever()

        signal.signal(signal.SIGINT, signal.default_int_handler)
        umask = os.umask(0o027)
        before = os.listdir("/proc/self/fd")
        with pytest.raises(KeyboardInterrupt):
            Supervisor().run(Call(leave_grandchildren(interrupt)), str(root), deadline_s=NEVER_S)
        assert descendants(os.getpid()) == []
        assert os.listdir("/proc/self/fd") == before
        assert os.umask(umask) == 0o027
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    alone(run_until_interrupted)


def test_an_interrupt_at_any_moment_leaves_nothing(root: Path) -> None:
    def run_until_interrupted(begun: int) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        supervisor = Supervisor()
        before = os.listdir("/proc/self/fd")

        def run_for_ever() -> None:
            while True:
                os.write(begun, b"!")
                supervisor.run(Call(lambda: write_file(root / "file")), str(root))

        with pytest.raises(KeyboardInterrupt):
            run_for_ever()
        assert descendants(os.getpid()) == []
        assert os.listdir("/proc/self/fd") == before

    def interrupt_often() -> None:
        chance = random.Random(1)
        reader, writer = os.pipe()
        for _ in range(100):
            process = os.fork()
            if not process:
                alone(lambda: run_until_interrupted(writer))
                os._exit(0)
            os.read(reader, 1)
            select.select([], [], [], chance.uniform(0, 0.01))  # the moment is the point
            (interrupted,) = descendants(process)[:1]
            os.kill(interrupted, signal.SIGINT)
            assert os.waitpid(process, 0)[1] == 0
            os.read(reader, 1 << 16) if select.select([reader], [], [], 0)[0] else None

    alone(interrupt_often)


def test_a_defect_of_ours_ends_the_target_and_is_raised(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    def run_and_look() -> None:
        monkeypatch.setattr(FileCalls, "write", fail)
        with pytest.raises(ZeroDivisionError):
            Supervisor().run(Call(lambda: write_file(root / "file")), str(root))
        assert descendants(os.getpid()) == []

    alone(run_and_look)
    assert (root / "file").read_bytes() == b""


def test_the_target_dies_with_the_supervisor(root: Path) -> None:
    reader, writer = os.pipe()

    def run_until_killed() -> None:
        def report() -> None:
            os.write(writer, b"%d\n" % os.getpid())
            wait_for_ever()

        Supervisor().run(Call(report), str(root))

    def kill_it() -> int:
        supervisor = os.fork()
        if not supervisor:
            run_until_killed()
        with open(reader, "rb") as pipe:
            target = os.pidfd_open(int(pipe.readline()))
        os.kill(supervisor, signal.SIGKILL)
        os.waitpid(supervisor, 0)
        return len(select.select([target], [], [], 30)[0])

    assert alone(kill_it) == 1
    os.close(reader)
    os.close(writer)


def test_many_runs_leave_nothing_behind(root: Path) -> None:
    def run_often() -> None:
        umask = os.umask(0o027)
        supervisor = Supervisor()
        before = os.listdir("/proc/self/fd")
        for n in range(200):
            order = KillOrder(3) if n % 2 else None
            supervisor.run(Call(lambda: write_file(root / "file")), str(root), order)
        assert os.listdir("/proc/self/fd") == before
        assert os.umask(umask) == 0o027
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    alone(run_often)


def test_elapsed_time_is_that_of_the_run(root: Path) -> None:
    began = time.monotonic()
    run = alone(lambda: Supervisor().run(python("pass", cwd="/"), str(root)))
    assert 0 < run.elapsed_s <= time.monotonic() - began


def test_a_tree_that_cannot_be_read_ends_the_target_too(root: Path) -> None:
    (root / "file").write_bytes(b"")

    def run_and_look() -> None:
        before = os.listdir("/proc/self/fd")
        supervisor = Supervisor()

        def fail(*_: object) -> None:
            raise PermissionError

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("durability.trace.supervisor.initial_records", fail)
            with pytest.raises(PermissionError):
                supervisor.run(Call(wait_for_ever), str(root))
        assert descendants(os.getpid()) == []
        assert os.listdir("/proc/self/fd") == before

    alone(run_and_look)
