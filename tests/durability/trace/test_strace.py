"""strace as the independent witness: of one and the same run, it saw what the trace tells."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from durability.errors import MechanismError
from durability.targets import catalogue
from durability.targets.contract import Command, Service
from durability.trace.kill_order import KillOrder
from durability.trace.supervisor import Run, Supervisor
from tests.durability.commands import environment
from tests.durability.trace import strace
from tests.durability.trace.alone import alone

SQLITE = """
import sqlite3
with sqlite3.connect("items.db") as database:
    database.execute("CREATE TABLE items (content BLOB)")
for n in range(20):
    with database:
        database.execute("INSERT INTO items VALUES (?)", (bytes(300 * n),))
"""

EVERYTHING = """
import os, threading
def work(name):
    os.mkdir(name)
    with open(f"{name}/log.tmp", "wb", buffering=0) as file:
        for n in range(50):
            file.write(bytes(n))
        os.pwrite(file.fileno(), b"header", 0)
        os.posix_fallocate(file.fileno(), 0, 5000)
        os.truncate(file.fileno(), 3000)
        os.fsync(file)
    os.rename(f"{name}/log.tmp", f"{name}/log")
    directory = os.open(name, os.O_RDONLY)
    os.fsync(directory)
    os.unlink("log", dir_fd=directory)
    os.rmdir(name)
threads = [threading.Thread(target=work, args=(f"d{n}",)) for n in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.fixture
def witnessed(root: Path) -> Callable[[Command], Command]:
    """Return a command as one under strace, with its log beside the root."""
    program = shutil.which("strace")
    if program is None:
        pytest.skip("strace is not installed")

    def under_strace(command: Command) -> Command:
        log = str(root.parent / f"{root.name}.strace")
        argv = (program, *strace.OPTIONS, "-o", log, "--", *command.argv)
        return Command(argv, command.env, command.cwd)

    return under_strace


def compare(run: Run, root: Path) -> int:
    """Compare all that the trace tells with strace's log; return how many operations there were."""
    assert run.differences == []
    log = root.parent / f"{root.name}.strace"
    seen, told = strace.seen(log, root), strace.told(run.trace)
    if run.reached and sum(map(len, seen.values())) < sum(map(len, told.values())):
        told = strace.told(strace.without_the_last(run.trace))
    assert strace.without_offsets(told) == strace.without_offsets(seen)
    for thread, sequence in seen.items():
        for witness, own in zip(sequence, told[thread], strict=True):
            assert witness == own[: len(witness)]
    return sum(map(len, told.values()))


@pytest.mark.parametrize(("source", "at_least"), [(SQLITE, 100), (EVERYTHING, 230)])
def test_a_program(
    root: Path, witnessed: Callable[[Command], Command], source: str, at_least: int
) -> None:
    program = witnessed(Command((sys.executable, "-S", "-c", source), environment(), str(root)))
    run = alone(lambda: Supervisor().run(program, str(root)))
    assert run.exit_status == 0, run.stderr
    assert compare(run, root) >= at_least


@pytest.mark.parametrize("name", ["nats", "etcd-bootstrap"])
def test_a_server(root: Path, witnessed: Callable[[Command], Command], name: str) -> None:
    try:
        target = catalogue.find(name)
    except MechanismError as error:
        pytest.skip(f"{name} is {error}")
    service = target.workload(str(root))
    assert isinstance(service, Service)
    assert isinstance(service.server, Command)
    watched = Service(witnessed(service.server), service.client, service.ready)
    offset = 60_000
    run = alone(lambda: Supervisor().run(watched, str(root), KillOrder(offset, tear="none")))
    assert run.reached
    assert compare(run, root) > 50


def test_the_comparison_can_fail(root: Path, witnessed: Callable[[Command], Command]) -> None:
    source = "open('a', 'wb', buffering=0).write(b'12'); open('b', 'wb')"
    program = witnessed(Command((sys.executable, "-S", "-c", source), environment(), str(root)))
    run = alone(lambda: Supervisor().run(program, str(root)))
    assert compare(run, root) == 3
    log = root.parent / f"{root.name}.strace"
    text = log.read_text()
    changes = [line for line in text.splitlines() if "O_CREAT" in line or "write(" in line]
    assert len(changes) == 3
    for line in changes:
        log.write_text(text.replace(f"{line}\n", ""))
        with pytest.raises(AssertionError):
            compare(run, root)
