import os
import random
import signal
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from durability.targets.contract import Call, Launch
from durability.trace.kill_order import KillOrder
from durability.trace.records import Kill, Write
from durability.trace.supervisor import Run, Supervisor
from tests.durability.trace.alone import alone, python

RECORDS = [bytes([65 + n % 26]) * (1 + 7 * n % 64) for n in range(200)]
STREAM = b"".join(RECORDS)

APPENDER = """
import os, sys
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for n in range(200):
    os.write(file, bytes([65 + n % 26]) * (1 + 7 * n % 64))
    if n % 10 == 9:
        os.fdatasync(file)
"""


def append(path: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for record in RECORDS:
        os.write(file, record)
    os.fdatasync(file)


def as_call(path: str) -> Launch:
    return Call(partial(append, path))


def as_command(path: str) -> Launch:
    return python(APPENDER, path, cwd="/")


@pytest.mark.parametrize(("launch", "kills"), [(as_call, 200), (as_command, 30)])
def test_the_file_ends_at_exactly_the_ordered_byte(
    root: Path, launch: Callable[[str], Launch], kills: int
) -> None:
    offsets = random.Random(1).sample(range(1, len(STREAM) + 1), kills)

    def kill_at_each() -> None:
        supervisor = Supervisor()
        for offset in offsets:
            directory = root / str(offset)
            directory.mkdir()
            run = supervisor.run(launch(str(directory / "log")), str(directory), KillOrder(offset))
            assert (directory / "log").read_bytes() == STREAM[:offset]
            assert run.landed(), (run.differences, run.stderr)
            assert (run.signal, run.exit_status) == (signal.SIGKILL, None)
            ends = [sum(map(len, RECORDS[:n])) for n in range(1, len(RECORDS) + 1)]
            assert run.trace.kill() == Kill(offset, 0, torn=offset not in ends)
            assert run.trace.stream_bytes() == offset

    alone(kill_at_each)


def write_pages(path: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    for n in range(4):
        os.write(file, bytes([n]) * 10_000)


@pytest.mark.parametrize(
    ("offset", "size"), [(4095, 0), (4096, 4096), (9_999, 8192), (10_000, 10_000), (35_000, 32_768)]
)
def test_a_page_tear_cuts_at_multiples_of_a_page_in_the_file(
    root: Path, offset: int, size: int
) -> None:
    run = killed(partial(write_pages, str(root / "file")), root, KillOrder(offset, 0, "page"))
    assert (root / "file").stat().st_size == size
    assert run.landed()
    assert run.trace.kill() == Kill(size, 0 if size else 1, torn=bool(size % 10_000))


@pytest.mark.parametrize(("offset", "size"), [(9_999, 0), (10_000, 10_000), (10_001, 10_000)])
def test_no_tear_cuts_between_calls(root: Path, offset: int, size: int) -> None:
    run = killed(partial(write_pages, str(root / "file")), root, KillOrder(offset, 0, "none"))
    assert (root / "file").stat().st_size == size
    assert run.landed()
    assert all(r.asked == len(r.data) for r in run.trace.records if isinstance(r, Write))


def change_names(root: str) -> None:
    os.chdir(root)
    file = os.open("a", os.O_WRONLY | os.O_CREAT)
    os.write(file, b"12345")
    os.mkdir("d")
    os.rename("a", "d/b")
    os.link("d/b", "c")
    os.symlink("c", "s")
    os.truncate("c", 3)
    os.posix_fallocate(file, 0, 10)
    os.unlink("s")
    os.mkdir("e")
    os.rmdir("e")
    os.close(os.open("d/b", os.O_WRONLY | os.O_TRUNC))
    os.write(file, b"6")
    os.unlink("c")


def test_a_kill_falls_between_any_two_changes_of_names(root: Path) -> None:
    whole = fresh(root, "whole")
    positions = ended(partial(change_names, whole), whole).trace.positions_between_writes()
    assert positions == [(0, 1), *((5, n) for n in range(1, 11)), (6, 1)]
    names = []
    for position in positions:
        directory = fresh(root, "-".join(map(str, position)))
        run = killed(partial(change_names, directory), directory, KillOrder(*position))
        assert run.landed(), run.differences
        assert run.trace.kill() == Kill(*position, torn=False)
        paths = [path for path in Path(directory).rglob("*") if not path.is_symlink()]
        links = {str(path.relative_to(directory)) for path in Path(directory).rglob("*")}
        names.append((links, sum(path.stat().st_size for path in paths if path.is_file())))
    assert all(before != after for before, after in pairwise(names))
    assert names[:4] == [({"a"}, 0), ({"a", "d"}, 5), ({"d", "d/b"}, 5), ({"d", "d/b", "c"}, 10)]
    assert names[-1] == ({"d", "d/b"}, 6)


def test_an_offset_that_is_never_reached(root: Path) -> None:
    def write_ten_and_exit_with_seven() -> None:
        file = os.open(root / "file", os.O_WRONLY | os.O_CREAT)
        os.write(file, bytes(10))
        os._exit(7)

    run = killed(write_ten_and_exit_with_seven, root, KillOrder(11))
    assert not run.reached
    assert not run.landed()
    assert (run.exit_status, run.signal) == (7, None)
    assert run.trace.kill() is None
    assert run.differences == []


def test_a_deadline_kills_but_does_not_land(root: Path) -> None:
    run = alone(
        lambda: Supervisor().run(
            python("import time; time.sleep(1000)", cwd="/"), str(root), KillOrder(1), 0.2
        )
    )
    assert (run.reached, run.landed(), run.signal) == (False, False, signal.SIGKILL)
    assert run.trace.kill() == Kill(0, 0, torn=False)


def test_a_stopped_target_is_killed_at_the_deadline(root: Path) -> None:
    run = alone(
        lambda: Supervisor().run(
            Call(lambda: os.kill(os.getpid(), signal.SIGSTOP)), str(root), None, 0.2
        )
    )
    assert run.signal == signal.SIGKILL


def test_a_target_that_kills_itself_has_not_been_killed_by_us(root: Path) -> None:
    run = killed(lambda: os.kill(os.getpid(), signal.SIGKILL), root, KillOrder(1))
    assert (run.signal, run.reached, run.trace.kill()) == (signal.SIGKILL, False, None)


def test_a_write_that_the_disk_cuts_short_of_the_position_is_not_the_kill(root: Path) -> None:
    """RLIMIT_FSIZE stands for a full disk: the supervisor's own write comes back short."""
    import resource

    def write_until_full() -> None:
        file = os.open(root / "file", os.O_WRONLY | os.O_CREAT)
        os.write(1, b"%d\n" % os.write(file, bytes(80)))
        try:
            os.write(file, bytes(80))
        except OSError as error:
            os.write(1, b"errno %d\n" % (error.errno or 0))

    def with_a_limit(order: KillOrder | None) -> Run:
        (root / "file").unlink(missing_ok=True)
        supervisor = Supervisor()
        resource.setrlimit(resource.RLIMIT_FSIZE, (50, resource.RLIM_INFINITY))
        return supervisor.run(Call(write_until_full), str(root), order)

    for order in (None, KillOrder(60)):
        run = alone(partial(with_a_limit, order))
        assert list(run.trace.lines()) == ["50", "errno 27"]
        (write,) = (r for r in run.trace.records if isinstance(r, Write))
        assert (len(write.data), write.asked, write.torn) == (50, 80, False)
        assert (run.reached, run.exit_status, run.differences) == (False, 0, [])


def killed(function: Callable[[], None], root: Path | str, order: KillOrder) -> Run:
    return alone(lambda: Supervisor().run(Call(function), str(root), order))


def ended(function: Callable[[], None], root: Path | str) -> Run:
    run = alone(lambda: Supervisor().run(Call(function), str(root)))
    assert (run.exit_status, run.differences) == (0, []), run.stderr
    return run


def fresh(root: Path, name: str) -> str:
    (root / name).mkdir()
    return str(root / name)
