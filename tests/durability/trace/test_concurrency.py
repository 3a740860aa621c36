"""Threads, processes and signals: the trace's order is the order of execution."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from durability.targets.contract import Call
from durability.trace.kill_order import KillOrder
from durability.trace.records import Write
from durability.trace.supervisor import Run, Supervisor
from tests.durability.trace.alone import alone


def run(function: Callable[[], None], root: Path, order: KillOrder | None = None) -> Run:
    return alone(lambda: Supervisor().run(Call(function), str(root), order))


def in_threads(function: Callable[[int], None], count: int = 8) -> None:
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
        in_threads(lambda n: [os.write(file, b"%d" % n * 9) for _ in range(200)] and None)

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
            shared = os.open(root / f"shared-{n}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            if not os.fork():
                in_threads(lambda m, n=n: open_write_close(root, 100 * n + m, 10), 2)
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
