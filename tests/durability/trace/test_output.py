import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from durability.targets.contract import Call
from durability.trace.kill_order import KillOrder
from durability.trace.records import Output, Sync, Write
from durability.trace.supervisor import Run, Supervisor
from tests.durability.trace.alone import alone


def write_sync_acknowledge(path: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    for n in range(100):
        os.write(file, b"item %d\n" % n)
        os.fdatasync(file)
        os.write(1, b"ack %d\n" % n)


def run(function: Callable[[], None], root: Path, order: KillOrder | None = None) -> Run:
    return alone(lambda: Supervisor().run(Call(function), str(root), order))


def test_an_acknowledgement_stands_between_its_sync_and_the_next_write(root: Path) -> None:
    records = run(partial(write_sync_acknowledge, str(root / "log")), root).trace.records
    kinds = [type(record) for record in records[1:]]
    assert kinds == [Write, Sync, Output] * 100
    outputs = [record.data for record in records if isinstance(record, Output)]
    assert outputs == [b"ack %d\n" % n for n in range(100)]


def test_what_was_printed_before_the_kill_is_heard(root: Path) -> None:
    length = sum(len(b"item %d\n" % n) for n in range(50))
    killed = run(partial(write_sync_acknowledge, str(root / "log")), root, KillOrder(length + 3))
    assert killed.landed()
    assert list(killed.trace.lines()) == [f"ack {n}" for n in range(50)]


def test_a_line_without_its_end_is_not_a_line(root: Path) -> None:
    ended = run(lambda: print_all(b"ack 1\nack 2\r\n\xff\nack 3"), root)
    assert list(ended.trace.lines()) == ["ack 1", "ack 2", "\\xff"]


def print_all(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def test_megabytes_without_a_newline(root: Path) -> None:
    ended = run(lambda: print_all(b"x" * 5_000_000 + b"\n" + b"y" * 200_000), root)
    assert list(map(len, ended.trace.lines())) == [5_000_000]


def test_an_enlarged_pipe_is_emptied_before_the_call_that_follows(root: Path) -> None:
    import fcntl

    def print_much_then_write() -> None:
        fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 1 << 20)
        print_all(b"x" * 900_000)
        os.mkdir(root / "after")

    records = run(print_much_then_write, root).trace.records
    before = [record.data for record in records[:-1] if isinstance(record, Output)]
    assert sum(map(len, before)) == 900_000


def test_a_closed_stdout_ends_nothing(root: Path) -> None:
    def close_and_go_on() -> None:
        os.write(1, b"bye\n")
        os.close(1)
        os.mkdir(root / "later")
        os._exit(3)

    ended = run(close_and_go_on, root)
    assert (ended.exit_status, ended.differences) == (3, [])
    assert list(ended.trace.lines()) == ["bye"]
    assert (root / "later").is_dir()


def test_of_stderr_the_end_is_kept(root: Path) -> None:
    def complain() -> None:
        for n in range(20_000):
            os.write(2, b"line %d\n" % n)
        os.mkdir(root / "after")

    ended = run(complain, root)
    assert ended.stderr.endswith("line 19999\n")
    assert len(ended.stderr) == 16384
    assert (root / "after").is_dir()


def test_what_the_caller_has_buffered_is_not_the_targets(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import sys

    def print_then_run() -> Run:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - buffered, as a pipe's is
        sys.stdout.write("ack 1\n")
        return Supervisor().run(Call(lambda: None), str(root))

    assert list(alone(print_then_run).trace.lines()) == []
    assert capfd.readouterr().out == "ack 1\n"


def test_an_exception_is_seen_on_stderr(root: Path) -> None:
    def fail() -> None:
        raise ValueError("as planned")

    ended = run(fail, root)
    assert ended.exit_status == 1
    assert ended.stderr.endswith("ValueError: as planned\n")
