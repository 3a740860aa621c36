"""What a power cut leaves behind a sync that failed or never ended."""

import os
from collections.abc import Callable

import pytest

from durability.crash.lost_sync import states_without_sync
from durability.crash.validation.script import Script
from durability.trace.failure import Failure
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.records import Failed

Files = dict[bytes, bytes]


def synced(content: bytes) -> tuple[Script, int]:
    """Begin with a file and its name on disk."""
    script = Script()
    file = script.create(b"log", content)
    script.sync(file).sync_directory()
    return script, file


def fail(script: Script, file: int | None, failure: Failure = "sync-eio-kept") -> Script:
    """Let the sync of a file fail; None: of the directory."""
    path = b"" if file is None else b"log"
    return script.add(Failed(1, "fsync", path, failure, file))


def left(script: Script) -> list[tuple[int, Files]]:
    """Return the states, each with how many records come behind the cut."""
    trace = script.trace()
    return [
        (len(trace.records) - end, dict(content.files))
        for end, content in states_without_sync(trace)
    ]


def test_what_the_sync_was_to_write_is_lost_and_nothing_else() -> None:
    script, file = synced(b"one")
    script.append(file, b"two")
    other = script.create(b"other", b"unsynced")
    fail(script, file)
    script.append(other, b", all of it")
    assert left(script) == [(0, {b"log": b"one", b"other": b"unsynced, all of it"})]


def test_a_later_sync_is_believed_and_writes_nothing() -> None:
    script, file = synced(b"one")
    fail(script.append(file, b"two"), file).sync(file).sync_all()
    assert left(script) == [(0, {b"log": b"one"})]


def test_a_later_sync_writes_all_where_the_first_was_held() -> None:
    script, file = synced(b"one")
    fail(script.append(file, b"two"), file, "sync-stalled").acknowledge().sync(file)
    assert left(script) == [(1, {b"log": b"one"})]


def test_a_page_that_is_written_again_is_saved_with_what_it_had_lost() -> None:
    script, file = synced(b"")
    script.append(file, b"a" * PAGE_BYTES + b"b" * PAGE_BYTES)
    fail(script, file).write(file, 0, b"A")
    first_saved = b"A" + b"a" * (PAGE_BYTES - 1) + bytes(PAGE_BYTES)
    assert left(script) == [(1, {b"log": b""}), (0, {b"log": first_saved[:PAGE_BYTES]})]


def test_what_is_written_behind_a_lost_page_leaves_a_hole() -> None:
    script, file = synced(b"one")
    script.append(file, b"x" * (PAGE_BYTES - 3))
    script.append(file, b"b" * PAGE_BYTES)
    fail(script, file)
    script.append(file, b"c").sync(file)
    hole = b"one" + bytes(2 * PAGE_BYTES - 3)
    assert left(script) == [(0, {b"log": hole + b"c"})]


def test_what_was_written_synchronously_is_there() -> None:
    script, file = synced(b"one")
    script.write(file, 3, b"two", os.RWF_DSYNC).append(file, b"three")
    assert left(fail(script, file)) == [(0, {b"log": b"onetwo"})]


@pytest.mark.parametrize("failure", ["sync-eio-kept", "sync-stalled"])
def test_what_was_cut_off_by_then_comes_back(failure: Failure) -> None:
    script, file = synced(b"a" * 3 * PAGE_BYTES)
    fail(script.truncate(file, 10), file, failure)
    ((_, files),) = left(script)
    assert files[b"log"][:10] == b"a" * 10


def cut_in(script: Script, file: int) -> None:
    fail(script.append(file, b"two"), file, "sync-eio-reverted")


def nothing_to_write(script: Script, file: int) -> None:
    fail(script, file)


def no_name_to_write(script: Script, file: int) -> None:
    fail(script.append(file, b"two"), None)


def failed_write(script: Script, file: int) -> None:
    script.append(file, b"two").add(Failed(1, "write", b"log", "write-eio"))


def no_failure(script: Script, file: int) -> None:
    script.append(file, b"two")


@pytest.mark.parametrize(
    "end", [cut_in, nothing_to_write, no_name_to_write, failed_write, no_failure]
)
def test_where_nothing_is_lost_there_is_no_state(end: Callable[[Script, int], None]) -> None:
    script, file = synced(b"one")
    end(script, file)
    assert left(script) == []


@pytest.mark.parametrize("failure", ["sync-eio-kept", "sync-eio-reverted", "sync-stalled"])
def test_a_directory_loses_the_names_since_the_last_sync_until_the_next(failure: Failure) -> None:
    script, _ = synced(b"old")
    file = script.create(b"new", b"new")
    script.sync(file).rename(b"new", b"log")
    fail(script, None, failure).acknowledge().sync(file)
    assert left(script) == [(1, {b"log": b"old", b"new": b"new"})]


def test_what_came_behind_the_first_lost_name_is_lost_with_it() -> None:
    script, file = synced(b"one")
    script.append(file, b"two").link(file, b"other").append(file, b"three")
    fail(script, None)
    script.append(file, b"four")
    assert left(script) == [(0, {b"log": b"onetwo"})]
