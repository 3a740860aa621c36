"""Threads, processes and signals: the trace's order is the order of execution."""

import ctypes
import os
import resource
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from durability.targets.contract import Call
from durability.trace.kill_order import KillOrder
from durability.trace.notification import Listener
from durability.trace.processes import Processes
from durability.trace.records import Open, Write
from durability.trace.supervisor import Run, Supervisor
from tests.durability.trace.alone import alone


def run(function: Callable[[], None], root: Path, order: KillOrder | None = None) -> Run:
    return alone(lambda: Supervisor().run(Call(function), str(root), order))


def in_threads(function: Callable[[int], object], count: int = 8) -> None:
    threads = [threading.Thread(target=function, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_signals_do_not_repeat_a_write(root: Path) -> None:
    def write_in_a_storm() -> None:
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        file = os.open(root / "file", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for n in range(20_000):
            os.write(file, b"%06d\n" % n)
        signal.setitimer(signal.ITIMER_REAL, 0)

    result = run(write_in_a_storm, root)
    assert (result.exit_status, result.differences) == (0, [])
    assert (root / "file").read_bytes() == b"".join(b"%06d\n" % n for n in range(20_000))


def test_the_order_of_threads_is_that_of_the_file(root: Path) -> None:
    def write_together() -> None:
        file = os.open(root / "file", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        in_threads(lambda n: [os.write(file, b"%d" % n * 9) for _ in range(200)])

    result = run(write_together, root)
    writes = [record for record in result.trace.records if isinstance(record, Write)]
    assert len({record.thread for record in writes}) == 8
    assert b"".join(record.data for record in writes) == (root / "file").read_bytes()
    assert [record.offset for record in writes] == list(range(0, 9 * 1600, 9))


def test_a_kill_stops_all_threads_at_once(root: Path) -> None:
    def write_apart() -> None:
        def write_own(n: int) -> None:
            file = os.open(root / str(n), os.O_WRONLY | os.O_CREAT)
            while True:
                os.write(file, b"123456789")

        in_threads(write_own)

    result = run(write_apart, root, KillOrder(10_000))
    assert result.landed(), result.differences
    assert sum(path.stat().st_size for path in root.iterdir()) == 10_000


def open_write_close(root: Path, n: int, count: int) -> None:
    for m in range(count):
        file = os.open(root / f"{n}-{m}", os.O_WRONLY | os.O_CREAT)
        os.write(file, b"%d %d" % (n, m))
        os.close(file)


def test_a_number_is_not_given_out_while_its_close_is_under_way(root: Path) -> None:
    result = run(lambda: in_threads(lambda n: open_write_close(root, n, 625)), root)
    assert (result.exit_status, result.differences) == (0, []), result.stderr
    assert len(list(root.iterdir())) == 5000


def test_nor_to_another_while_a_forked_process_holds_it(root: Path) -> None:
    def fork_and_write() -> None:
        for n in range(20):
            (root / str(n)).mkdir()
            shared = os.open(root / f"shared-{n}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            if not os.fork():
                in_threads(partial(open_write_close, root / str(n), count=10), 2)
                os.write(shared, b"child")
                os._exit(0)
            os.write(shared, b"parent")
            os.close(shared)
        while True:
            try:
                os.wait()
            except ChildProcessError:
                break

    result = run(fork_and_write, root)
    assert (result.exit_status, result.differences) == (0, []), result.stderr
    for n in range(20):
        assert (root / f"shared-{n}").stat().st_size == len("childparent")


def test_a_process_inherits_the_number_of_one_that_has_ended(root: Path) -> None:
    """More processes than memory descriptors could pile up; each reads its own memory."""

    def fork_often() -> None:
        file = os.open(root / "file", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for n in range(500):
            child = os.fork()
            if not child:
                os.write(file, b"%d\n" % n)
                os._exit(0)
            os.waitpid(child, 0)

    result = run(fork_often, root)
    assert (result.exit_status, result.differences) == (0, [])
    assert (root / "file").read_bytes() == b"".join(b"%d\n" % n for n in range(500))


def test_signals_to_the_supervisor_do_not_show_in_the_target(root: Path) -> None:
    def open_often() -> None:
        for _ in range(3000):
            os.close(os.open(root / "file", os.O_WRONLY | os.O_CREAT))

    def supervise_in_a_storm() -> Run:
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.00005, 0.00005)
        result = Supervisor().run(Call(open_often), str(root))
        signal.setitimer(signal.ITIMER_REAL, 0)
        return result

    result = alone(supervise_in_a_storm)
    assert (result.exit_status, result.differences) == (0, []), result.stderr
    # Python tries an interrupted open again: it would show only here.
    assert sum(isinstance(record, Open) for record in result.trace.records) == 3000


def test_a_program_executed_beside_busy_threads_is_read_in_its_own_memory(root: Path) -> None:
    """Their last calls come when the exec is already under way."""
    source = b"import os; os.write(os.open('file', os.O_WRONLY | os.O_CREAT), b'new')"
    program = os.fsencode(sys.executable)

    def execute_beside() -> None:
        os.chdir(root)

        def make_names() -> None:
            while True:
                os.mkdir("d")
                os.rmdir("d")

        threading.Thread(target=make_names, daemon=True).start()
        while not any(root.iterdir()):
            os.sched_yield()
        argv = (ctypes.c_char_p * 6)(program, b"-I", b"-S", b"-c", source)
        ctypes.CDLL(None).execv(program, argv)  # os.execv would hold back the other threads

    for _ in range(5):
        result = run(execute_beside, root)
        assert (result.exit_status, result.differences) == (0, []), result.stderr
        assert (root / "file").read_bytes() == b"new"
        shutil.rmtree(root)
        root.mkdir()


def test_after_each_clone_a_thread_is_looked_up_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number may be that of a thread of another process, which has ended."""
    forgotten: list[Processes] = []
    forget = Processes.forget

    def count_and_forget(self: Processes) -> None:
        forgotten.append(self)
        forget(self)

    def count() -> int:
        monkeypatch.setattr(Processes, "forget", count_and_forget)
        Supervisor().run(Call(lambda: in_threads(lambda _: None, 5)), str(root))
        return len(forgotten)

    assert alone(count) == 5 + 1  # at the end too


def open_many(root: Path, name: str, count: int) -> list[int]:
    return [os.open(root / f"{name}-{n}", os.O_WRONLY | os.O_CREAT) for n in range(count)]


def test_files_of_processes_that_have_ended_do_not_pile_up(root: Path) -> None:
    def fork_often() -> None:
        for _ in range(100):
            if not os.fork():
                open_many(root, "f", 10)
                os._exit(0)
            os.wait()
        os.write(1, b"%d\n" % len(os.listdir(f"/proc/{os.getppid()}/fd")))

    (line,) = run(fork_often, root).trace.lines()
    assert int(line) < 200


def test_when_numbers_run_out_those_of_ended_processes_are_used_again(root: Path) -> None:
    def fork_beside_many() -> None:
        open_many(root, "kept", 600)
        for n in range(3):
            if not os.fork():
                open_many(root, f"child-{n}", 300)
                os._exit(0)
            assert os.wait()[1] == 0

    def with_little_room() -> Run:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 2024))
        return Supervisor().run(Call(fork_beside_many), str(root))

    result = alone(with_little_room)
    assert (result.exit_status, result.differences) == (0, []), result.stderr
    assert result.trace.untraceable() == []
    assert len(list(root.iterdir())) == 600 + 3 * 300


def test_of_a_thread_that_is_ending_nothing_is_believed() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    with open(os.devnull, "rb") as nothing, pytest.raises(ProcessLookupError):
        Processes(Listener(nothing.fileno())).of(child, 0)
    os.waitpid(child, 0)
