"""One call fails by order: the caller sees the error that was ordered, and the trace says so."""

import errno
import os
from functools import partial
from pathlib import Path
from threading import Thread

import pytest

from durability.targets.contract import Call
from durability.trace.failure import Failure, FailureOrder
from durability.trace.records import Failed
from durability.trace.supervisor import Run, Supervisor
from tests.durability.trace.alone import alone


def take(step: str, file: int, root: str) -> int | None:
    """Take a step: `+text` appends, `=text` overwrites the beginning, `<n` cuts the file there."""
    argument = step[1:].encode()
    match step[0], step:
        case "+", _:
            return os.write(file, argument)
        case "=", _:
            return os.pwrite(file, argument, 0)
        case "<", _:
            os.ftruncate(file, int(argument))
        case _, "sync":
            os.fsync(file)
        case _, "data":
            os.fdatasync(file)
        case _, "names":
            os.fsync(os.open(root, os.O_RDONLY))
    return None


def say_results(root: str, steps: str) -> None:
    """Take steps on a new file; print what each returned, or its errno by name."""
    file = os.open(os.path.join(root, "log"), os.O_WRONLY | os.O_CREAT)
    for step in steps.split():
        try:
            result = str(take(step, file, root))
        except OSError as error:
            result = errno.errorcode[error.errno or 0]
        os.write(1, f"{result}\n".encode())


def failing(root: Path, failure: Failure, at: int, steps: str) -> tuple[Run, str]:
    """Take steps while the `at`-th call fails, of those that may; opening the file is one."""

    def run() -> Run:
        launch = Call(partial(say_results, str(root), steps))
        return Supervisor().run(launch, str(root), None, 30.0, FailureOrder(failure, at))

    done = alone(run)
    assert done.differences == []
    assert done.fault == ""
    return done, " ".join(done.trace.lines())


@pytest.mark.parametrize(
    ("failure", "at", "steps", "results", "content"),
    [
        ("write-eio", 3, "+one +two +3", "3 EIO 1", b"one3"),
        ("write-eio", 3, "+one <1 +2", "3 EIO 1", b"one2"),
        ("write-enospc", 2, "+four +x +y", "2 ENOSPC 1", b"foy"),
        ("write-enospc", 2, "+x +y", "ENOSPC 1", b"y"),
        ("write-enospc", 3, "+four sync =FOUR", "4 None 2", b"FOur"),
        ("write-short", 2, "+x +long +four", "1 4 2", b"xlongfo"),
        ("disk-full", 3, "+four +four +x =F <1 +z", "4 2 ENOSPC 1 None ENOSPC", b"F"),
        ("sync-eio-kept", 2, "+one sync +two data sync", "3 None 3 EIO None", b"onetwo"),
        ("sync-eio-reverted", 2, "+one sync +two data sync", "3 None 3 EIO None", b"one"),
        ("sync-eio-reverted", 1, "+one names names", "3 EIO None", b"one"),
    ],
)
def test_the_call_fails_as_ordered_and_no_other(
    root: Path, failure: Failure, at: int, steps: str, results: str, content: bytes
) -> None:
    run, said = failing(root, failure, at, steps)
    assert said == results
    assert (root / "log").read_bytes() == content
    assert run.exit_status == 0
    (failed,) = [record for record in run.trace.records if isinstance(record, Failed)]
    assert failed.failure == failure
    assert failed.path == (b"" if "names" in steps else b"log")
    assert (failed.file is not None) == (failed.call == "fsync" and failed.path == b"log")


def test_a_sync_that_is_held_does_not_return(root: Path) -> None:
    run, said = failing(root, "sync-stalled", 2, "+one sync sync +2")
    assert said == "3 None"
    assert run.trace.kill() is not None
    assert not run.timed_out
    assert not run.cut_short, "there is no other thread"
    assert isinstance(run.trace.records[-2], Failed)


def wait_for_sync(root: str, wait_s: float | None) -> None:
    """Sync a file in a thread, wait for that, and go on."""
    file = os.open(os.path.join(root, "log"), os.O_WRONLY | os.O_CREAT)
    os.write(file, b"one")
    sync = Thread(target=os.fsync, args=[file], daemon=True)
    sync.start()
    sync.join(wait_s)
    os.write(1, b"went on\n")


@pytest.mark.parametrize(("wait_s", "said"), [(0.7, ["went on"]), (None, [])])
def test_a_thread_that_waits_for_a_held_sync_has_time_to_go_on(
    root: Path, wait_s: float | None, said: list[str]
) -> None:
    def run() -> Run:
        launch = Call(partial(wait_for_sync, str(root), wait_s))
        return Supervisor().run(launch, str(root), None, 30.0, FailureOrder("sync-stalled", 1))

    done = alone(run)
    assert done.trace.lines() == said
    assert done.cut_short == (not said), "it is told where it has not gone on by the end"


def test_an_order_for_none_tells_which_calls_there_are(root: Path) -> None:
    run, said = failing(root, "write-enospc", 0, "+one sync =O <1")
    assert run.met == [("open", b"log"), ("write", b"log"), ("write", b"log")]
    assert said == "3 None 1 None"
    assert not any(isinstance(record, Failed) for record in run.trace.records)


def test_no_call_is_behind_the_last(root: Path) -> None:
    run, said = failing(root, "write-eio", 4, "+one +two")
    assert said == "3 3"
    assert not any(isinstance(record, Failed) for record in run.trace.records)
