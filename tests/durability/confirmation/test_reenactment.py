"""A run performed again: it leaves what its trace says, and files are closed as early as can be."""

import os
import random
import resource
from pathlib import Path

import pytest

from durability.confirmation.reenactment import Act, Close, Reenactment, perform
from durability.crash.kill_states import kill_states, trace_until
from durability.crash.validation.file_system import LoopFileSystem
from durability.crash.validation.performance import Performance
from durability.crash.validation.script import WriteBack
from durability.crash.validation.workload import Workload
from durability.errors import MechanismError
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.records import (
    Allocate,
    AnyRecord,
    Link,
    MakeDirectory,
    Open,
    Output,
    Rename,
    Sync,
    Truncate,
    Unlink,
    Write,
)
from durability.trace.trace import Trace
from durability.trace.tree import Tree

CREATE = os.O_CREAT | os.O_WRONLY


def performed(trace: Trace, directory: Path) -> list[str]:
    """Perform a run below a directory; return where that is not what its trace says."""
    # Nothing here is mounted: of a file system no more is used than where its root is.
    file_system = LoopFileSystem("ext4", "", str(directory))
    root = Path(file_system.root)
    root.mkdir(parents=True)
    Tree(trace.initial).write_to(os.fsencode(root))
    with Performance(file_system) as performance:
        for acts in Reenactment(trace).calls:
            perform(acts, performance)
    return trace.tree().differences(os.fsencode(root))


def write(file: int, path: bytes, data: bytes, offset: int = 0) -> Write:
    return Write(1, file, path, offset, data, len(data))


@pytest.mark.parametrize("seed", range(40))
def test_it_leaves_what_the_trace_says(seed: int, tmp_path: Path) -> None:
    drawn = Workload(random.Random(seed)).records(40)
    # Not every file system has every mode of fallocate(2).
    records: list[AnyRecord] = [one for one in drawn if not isinstance(one, Allocate)]
    assert performed(Trace([], records), tmp_path) == []


def test_what_was_there_before_is_opened_where_it_is_used(tmp_path: Path) -> None:
    initial: list[AnyRecord] = [
        MakeDirectory(0, b"d"),
        Open(0, 1, b"d/log", CREATE, created=True),
        write(1, b"d/log", b"A" * 10),
        Open(0, 2, b"d/old", CREATE, created=True),
    ]
    records: list[AnyRecord] = [
        Truncate(1, 1, b"d/log", 5),
        Open(1, 1, b"d/log", os.O_WRONLY | os.O_APPEND, created=False),
        write(1, b"d/log", b"B" * 5, 5),
        Link(1, 2, b"d/new"),
        Unlink(1, b"d/old"),
        Sync(1, b"d/old", data_only=False),  # it was opened for reading: its name is gone
        Output(b"ack\n"),
    ]
    assert performed(Trace(initial, records), tmp_path) == []


def test_what_lost_its_name_stays_open(tmp_path: Path) -> None:
    records: list[AnyRecord] = [
        Open(1, 1, b"a", CREATE, created=True),
        Unlink(1, b"a"),
        Open(1, 1, b"a", os.O_WRONLY | os.O_TRUNC, created=False),
        write(1, b"a", b"A" * 10),
        Open(1, 2, b"b", CREATE, created=True),
        Rename(1, b"b", b"c"),
        write(2, b"b", b"B"),
    ]
    assert performed(Trace([], records), tmp_path) == []


def test_a_write_that_a_kill_has_torn_is_made_as_far_as_it_went(tmp_path: Path) -> None:
    """What comes behind it is the recovery."""
    run: list[AnyRecord] = [
        Open(1, 1, b"a", CREATE, created=True),
        write(1, b"a", b"A" * 3 * PAGE_BYTES),
    ]
    (_, torn) = (state for state in kill_states(Trace([], run), "page") if state.torn)
    killed = trace_until(Trace([], run), torn)
    recovery = write(1, b"a", b"B" * 10, 2 * PAGE_BYTES)
    assert performed(Trace([], [*killed.records, recovery]), tmp_path) == []
    assert (tmp_path / "mounted/root/a").stat().st_size == 2 * PAGE_BYTES + 10


def test_a_write_that_was_short_is_made_as_far_as_it_went(tmp_path: Path) -> None:
    records: list[AnyRecord] = [
        Open(1, 1, b"a", CREATE, created=True),
        Write(1, 1, b"a", 0, b"A" * 6, asked=10),
        write(1, b"a", b"A" * 4, 6),
    ]
    assert performed(Trace([], records), tmp_path) == []


def test_a_write_that_is_short_only_here_is_an_error(tmp_path: Path) -> None:
    records: list[AnyRecord] = [
        Open(1, 1, b"a", CREATE, created=True),
        write(1, b"a", b"A" * 10),
    ]
    most, never_more = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6, never_more))
    try:
        with pytest.raises(MechanismError, match="of write a at 0: 10 bytes only 6 were written"):
            performed(Trace([], records), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, never_more))


def test_a_file_is_closed_behind_its_last_use_before_it_is_opened_again() -> None:
    records: list[AnyRecord] = [
        Open(1, 1, b"a", CREATE, created=True),
        write(1, b"a", b"A"),
        Rename(1, b"a", b"b"),
        Open(1, 1, b"b", os.O_WRONLY | os.O_TRUNC, created=False),
        write(1, b"b", b"B"),
        MakeDirectory(1, b"d"),
    ]
    closing: list[list[Act]] = [
        [act for act in acts if isinstance(act, Close)]
        for acts in Reenactment(Trace([], records)).calls
    ]
    assert closing == [[], [Close(1)], [], [], [Close(1)], []]


def test_what_went_past_the_cache_is_on_its_way_to_the_disk() -> None:
    records: list[AnyRecord] = [
        Open(1, 1, b"a", CREATE | os.O_DIRECT, created=True),
        write(1, b"a", b"A" * 4096),
        Open(1, 1, b"a", os.O_WRONLY, created=False),
        write(1, b"a", b"B" * 4096),
    ]
    calls = Reenactment(Trace([], records)).calls
    assert WriteBack(1, 0, 4096) in calls[1]
    assert not any(isinstance(act, WriteBack) for act in calls[3])
