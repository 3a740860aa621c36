"""One call fails by order: the caller sees the error that was ordered, and the trace says so."""

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

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
    run, said = failing(root, "sync-stalled", 2, "+one sync +two sync +3")
    assert said == "3 None 3"
    assert run.trace.kill() is not None
    assert not run.timed_out
    assert isinstance(run.trace.records[-2], Failed)


def test_an_order_for_none_tells_which_calls_there_are(root: Path) -> None:
    run, said = failing(root, "write-enospc", 0, "+one sync =O <1")
    assert run.met == [("open", b"log"), ("write", b"log"), ("write", b"log")]
    assert said == "3 None 1 None"
    assert not any(isinstance(record, Failed) for record in run.trace.records)


def do_nothing(root: str) -> None:
    """Make calls that fail by themselves or have nothing to do, beside a few others."""
    os.chdir(root)
    for name in ("file", "other", "full/file"):
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT))
    vain: list[Callable[[], object]] = [
        lambda: os.unlink("missing"),
        lambda: os.unlink("full"),
        lambda: os.rmdir("full"),
        lambda: os.rmdir("file"),
        lambda: os.mkdir("full"),
        lambda: os.mkdir("missing/directory"),
        lambda: os.rename("missing", "new"),
        lambda: os.rename("file", "missing/file"),
        lambda: os.link("missing", "new"),
        lambda: os.link("file", "other"),
        lambda: os.symlink("file", "other"),
        lambda: os.mknod("other"),
        lambda: os.open("missing/file", os.O_WRONLY | os.O_CREAT),
        lambda: os.open("file", os.O_WRONLY | os.O_TRUNC | os.O_CREAT | os.O_EXCL),
        lambda: os.truncate("missing", 1),
    ]
    for call in vain:
        with pytest.raises(OSError, match=r"\[Errno"):
            call()
    os.open("file", os.O_WRONLY | os.O_TRUNC)
    os.truncate("file", 0)
    os.unlink("other")


def do_something(root: str) -> None:
    """Make the same calls where they have something to do."""
    os.chdir(root)
    os.mkdir("directory/")
    os.mknod("file")
    os.truncate("file", 1)
    os.open("file", os.O_WRONLY | os.O_TRUNC)
    os.link("file", "link")
    os.rename("link", "new")
    os.symlink("directory", "symlink")
    os.unlink("symlink")
    os.rmdir("directory")


def sync_some(root: str) -> None:
    """Sync files and directories, with and without something to write."""
    directory = os.open(root, os.O_RDONLY)
    file = os.open("log", os.O_RDWR | os.O_CREAT, dir_fd=directory)
    for step in (directory, directory, file, file):
        os.fsync(step)
    os.write(file, b"x")
    reading = os.open("log", os.O_RDONLY, dir_fd=directory)
    for step in (directory, reading, file):
        os.fsync(step)
    os.pwritev(file, [b"x"], 0, os.RWF_DSYNC)
    os.fsync(file)
    os.mkdir("below", dir_fd=directory)
    os.fsync(file)
    os.fsync(directory)


def met(root: Path, function: Callable[[str], None], failure: Failure) -> list[tuple[str, bytes]]:
    """Return the calls of a function that a failure could meet."""

    def run() -> Run:
        launch = Call(partial(function, str(root)))
        return Supervisor().run(launch, str(root), None, 30.0, FailureOrder(failure, 0))

    done = alone(run)
    assert (done.exit_status, done.differences) == (0, []), done.stderr
    return done.met


def test_calls_that_do_nothing_are_not_met(root: Path) -> None:
    made = [("open", b"file"), ("open", b"other"), ("mkdir", b"full"), ("open", b"full/file")]
    assert met(root, do_nothing, "write-eio") == [*made, ("unlink", b"other")]


def test_calls_that_do_something_are_met(root: Path) -> None:
    calls = [call for call, _ in met(root, do_something, "write-eio")]
    assert calls == [
        "mkdir", "mknod", "truncate", "open", "link", "rename", "symlink", "unlink", "rmdir"
    ]  # fmt: skip


def test_syncs_that_have_nothing_to_write_are_not_met(root: Path) -> None:
    names, log = ("fsync", b""), ("fsync", b"log")
    assert met(root, sync_some, "sync-eio-kept") == [names, log, log, names]


def test_no_call_is_behind_the_last(root: Path) -> None:
    run, said = failing(root, "write-eio", 4, "+one +two")
    assert said == "3 3"
    assert not any(isinstance(record, Failed) for record in run.trace.records)
