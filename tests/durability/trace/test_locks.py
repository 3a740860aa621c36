"""Our copy of an open file must never keep a lock that the target has let go of."""

import fcntl
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from durability.targets.contract import Call
from durability.trace.filter import F_OFD_SETLK, F_OFD_SETLKW
from durability.trace.kill_order import KillOrder
from durability.trace.supervisor import Supervisor
from tests.durability.trace.alone import alone

WHOLE_FILE = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def by_flock(file: int, *, wait: bool) -> None:
    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def by_description(file: int, *, wait: bool) -> None:
    fcntl.fcntl(file, F_OFD_SETLKW if wait else F_OFD_SETLK, WHOLE_FILE)


Lock = Callable[..., None]
LOCKS = pytest.mark.parametrize("lock", [by_flock, by_description])


def open_lock(root: Path) -> int:
    return os.open(root / "lock", os.O_RDWR | os.O_CREAT)


def hold_until_told(root: Path, lock: Lock, let_go: Callable[[int], None]) -> tuple[int, int, int]:
    """Fork a process that holds the lock; return it, what it says, and what it listens to."""
    from_child, to_parent = os.pipe()
    from_parent, to_child = os.pipe()
    child = os.fork()
    if not child:
        file = open_lock(root)
        lock(file, wait=False)
        os.write(to_parent, b"!")
        os.read(from_parent, 1)
        let_go(file)
        os.write(to_parent, b"!")
        os.read(from_parent, 1)
        os._exit(0)
    os.read(from_child, 1)
    return child, from_child, to_child


def execute(_file: int) -> None:
    os.execv("/bin/true", ["/bin/true"])


WAYS: list[Callable[[int], None]] = [
    os.close,
    lambda _: os._exit(0),
    execute,
    lambda _: os.closerange(900, 3000),
]
WAYS_OUT = pytest.mark.parametrize("let_go", WAYS, ids=["close", "exit", "exec", "close_range"])


@LOCKS
@WAYS_OUT
def test_another_process_waits_until_the_lock_is_free(
    root: Path, lock: Lock, let_go: Callable[[int], None]
) -> None:
    def hand_over() -> None:
        child, _, to_child = hold_until_told(root, lock, let_go)
        file = open_lock(root)
        with pytest.raises(BlockingIOError):
            lock(file, wait=False)
        waiting = os.fork()
        if not waiting:
            lock(open_lock(root), wait=True)
            os.write(1, b"taken\n")
            os._exit(0)
        while not is_waited_for(os.fstat(file).st_ino):
            os.sched_yield()
        os.write(to_child, b"!")
        os.waitpid(waiting, 0)
        os.write(to_child, b"!")
        os.waitpid(child, 0)

    run = alone(lambda: Supervisor().run(Call(hand_over), str(root), None, 20))
    assert (run.exit_status, list(run.trace.lines())) == (0, ["taken"]), run.stderr


def is_waited_for(inode: int) -> bool:
    with open("/proc/locks") as locks:
        return any("->" in line and f":{inode} " in line for line in locks)


@LOCKS
@WAYS_OUT
def test_another_process_can_try_the_lock_at_once(
    root: Path, lock: Lock, let_go: Callable[[int], None]
) -> None:
    def hand_over() -> None:
        child, from_child, to_child = hold_until_told(root, lock, let_go)
        os.write(to_child, b"!")
        if let_go in (WAYS[0], WAYS[3]):
            os.read(from_child, 1)
        else:
            os.waitpid(child, 0)
        lock(open_lock(root), wait=False)
        os.write(1, b"taken\n")
        os._exit(0)

    run = alone(lambda: Supervisor().run(Call(hand_over), str(root), None, 20))
    assert (run.exit_status, list(run.trace.lines())) == (0, ["taken"]), run.stderr


@LOCKS
def test_within_one_process_a_close_frees_the_lock(root: Path, lock: Lock) -> None:
    def lock_twice() -> None:
        for _ in range(2):
            file = open_lock(root)
            lock(file, wait=False)
            os.close(file)

    run = alone(lambda: Supervisor().run(Call(lock_twice), str(root)))
    assert run.exit_status == 0, run.stderr


@LOCKS
def test_after_the_kill_a_successor_takes_the_lock(root: Path, lock: Lock) -> None:
    def lock_and_write() -> None:
        file = open_lock(root)
        lock(file, wait=False)
        os.write(file, b"mine")

    def one_after_another() -> None:
        supervisor = Supervisor()
        for _ in range(3):
            assert supervisor.run(Call(lock_and_write), str(root), KillOrder(2)).landed()
        program = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        subprocess.run([sys.executable, "-c", program, root / "lock"], check=True)

    alone(one_after_another)
