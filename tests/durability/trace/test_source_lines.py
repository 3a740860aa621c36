"""Which line made a call, exactly: also where buffers, threads and generators are in between."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durability.targets.contract import Call
from durability.trace.supervisor import Run, Supervisor
from durability.trace.trace import Trace
from tests.durability.trace.alone import alone

HERE = os.path.basename(__file__)


def traced(function: Callable[[], object], root: Path, *, with_sources: bool = True) -> Run:
    run = alone(lambda: Supervisor().run(Call(function), str(root), with_sources=with_sources))
    assert run.exit_status == 0, run.stderr
    return run


def line(mark: str) -> int:
    """Return the number of the line of this file that ends with a comment."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (found,) = (number for number, text in enumerate(lines, start=1) if text.endswith(f"# {mark}"))
    return found


def innermost(trace: Trace) -> list[tuple[str, int]]:
    """Return of each record the call and the line that made it, in this file."""
    found = []
    for number, record in enumerate(trace.records):
        first = trace.sources[number].split(" < ")[0]
        path, _, of = first.rpartition(":")
        assert os.path.basename(path) == HERE
        found.append((str(record).split()[0], int(of)))
    return found


def test_a_call_is_that_of_the_line_that_makes_it(root: Path) -> None:
    def work() -> None:
        descriptor = os.open(root / "log", os.O_CREAT | os.O_WRONLY)  # opening
        for text in (b"a", b"b"):
            os.write(descriptor, bytes(text))  # writing
        os.fsync(descriptor)  # syncing

    trace = traced(work, root).trace
    opening, writing, syncing = (line(mark) for mark in ("opening", "writing", "syncing"))
    assert innermost(trace) == [
        ("open", opening),
        ("write", writing),
        ("write", writing),
        ("fsync", syncing),
    ]


def test_callers_stand_behind_it(root: Path) -> None:
    def put(text: str) -> None:
        (root / text).write_text(text, encoding="ascii")  # by way of pathlib

    def twice() -> None:
        put("a")  # first
        put("b")  # second

    trace = traced(twice, root).trace
    chains = [trace.sources[at].rpartition("/")[2] for at in range(len(trace.records))]
    by = f"{HERE}:{line('by way of pathlib')}"
    assert chains[0] == f"{by} < {line('first')}"
    assert chains[-1] == f"{by} < {line('second')}"


def test_what_is_buffered_is_written_where_it_is_flushed(root: Path) -> None:
    def work() -> None:
        with open(root / "closed", "w", encoding="ascii") as file:  # leaving
            file.write("a")
        file = open(root / "flushed", "w", encoding="ascii")  # noqa: SIM115 - that is the point
        file.write("b")
        file.flush()  # flushing
        file.write("c")
        del file  # forgetting

    written = [of for call, of in innermost(traced(work, root).trace) if call == "write"]
    assert written == [line(mark) for mark in ("leaving", "flushing", "forgetting")]


def test_each_thread_is_followed(root: Path) -> None:
    def one() -> None:
        (root / "one").touch()  # in one

    def other() -> None:
        (root / "other").touch()  # in the other

    def work() -> None:
        for function in (one, other, one):
            thread = threading.Thread(target=function)
            thread.start()
            thread.join()
        os.mkdir(root / "directory")  # in the first

    found = innermost(traced(work, root).trace)
    assert [of for _, of in found if of != line("in one")] == [
        line("in the other"),
        line("in the first"),
    ]
    assert found[0] == ("open", line("in one"))


def test_a_generator_is_where_it_goes_on(root: Path) -> None:
    def steps() -> Iterator[None]:
        yield
        os.mkdir(root / "a")  # going on
        yield

    def work() -> None:
        generator = steps()
        next(generator)
        os.mkdir(root / "b")  # between
        next(generator)
        os.mkdir(root / "c")  # behind

    found = innermost(traced(work, root).trace)
    assert found == [("mkdir", line(mark)) for mark in ("between", "going on", "behind")]


def test_a_process_that_is_forked_is_not_followed(root: Path) -> None:
    def work() -> None:
        process = os.fork()
        if not process:
            os.mkdir(root / "a")
            os._exit(0)
        os.waitpid(process, 0)
        os.mkdir(root / "b")

    trace = traced(work, root).trace
    made = [number for number, one in enumerate(trace.records) if str(one).startswith("mkdir")]
    assert [number in trace.sources for number in made] == [False, True]


def test_the_trace_is_the_same_otherwise(root: Path) -> None:
    def work() -> None:
        for number in range(3):
            path = root / f"{number}"
            with open(path, "w", encoding="ascii") as file:
                file.write("a" * 10)
            path.rename(root / "last")
        os.write(1, b"done\n")

    with_sources = traced(work, root).trace
    for left in root.iterdir():
        left.unlink()
    without = traced(work, root, with_sources=False).trace
    assert [str(record) for record in with_sources.records] == [str(one) for one in without.records]
    assert with_sources.sources
    assert not without.sources


@pytest.mark.parametrize("with_sources", [False, True])
def test_a_function_that_is_traced_already_is_not_disturbed(
    root: Path, *, with_sources: bool
) -> None:
    """A recursion, an exception and a comprehension: what the interpreter itself notes."""

    def fall(depth: int) -> int:
        if not depth:
            raise ValueError(depth)
        return fall(depth - 1)

    def work() -> None:
        try:
            fall(50)
        except ValueError:
            names = [f"{number}" for number in range(3)]
        for name in names:
            os.mkdir(root / name)  # at last

    run = traced(work, root, with_sources=with_sources)
    assert len(run.trace.records) == 3
    if with_sources:
        assert innermost(run.trace) == [("mkdir", line("at last"))] * 3
