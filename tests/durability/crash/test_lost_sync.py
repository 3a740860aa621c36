"""What a power cut leaves behind a sync that failed or never ended."""

import os
from collections.abc import Callable

import pytest

from durability.crash.lost_sync import states_without_sync
from durability.crash.validation.script import Script
from durability.trace.failure import Failure
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.records import Failed, Open

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


def revert(script: Script, file: int, content: bytes) -> Script:
    """Let the sync of a file fail, and the cache show what it was to replace."""
    return fail(script, file, "sync-eio-reverted").truncate(file, 0).append(file, content)


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
    assert left(script) == [
        (1, {b"log": b"one", b"other": b"unsynced"}),
        (0, {b"log": b"one", b"other": b"unsynced, all of it"}),
    ]


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
    assert left(script) == [(2, {b"log": b"one"}), (0, {b"log": hole + b"c"})]


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


def unlink(script: Script, file: int) -> None:
    del file
    script.unlink(b"log")


def rename_over(script: Script, file: int) -> None:
    del file
    script.rename(b"new", b"log")


def cut_off(script: Script, file: int) -> None:
    script.truncate(file, 0)


def open_anew(script: Script, file: int) -> None:
    flags = os.O_WRONLY | os.O_TRUNC
    script.add(Open(1, file, b"log", flags, created=False))


@pytest.mark.parametrize("failure", ["sync-eio-kept", "sync-eio-reverted", "sync-stalled"])
@pytest.mark.parametrize("end", [unlink, rename_over, cut_off, open_anew])
def test_the_power_is_cut_before_what_lacked_something_goes(
    failure: Failure, end: Callable[[Script, int], None]
) -> None:
    script, file = synced(b"one")
    script.create(b"new", b"all of it")
    script.append(file, b"two")
    if failure == "sync-eio-reverted":
        revert(script, file, b"one")
    else:
        fail(script, file, failure)
    end(script.acknowledge(), file)
    assert left(script.acknowledge()) == [(2, {b"log": b"one", b"new": b"all of it"})]


def test_the_power_is_cut_before_each_change_of_another_file() -> None:
    script, file = synced(b"")
    pages = script.create(b"pages", b"00")
    fail(script.append(file, b"undo"), file)
    script.write(pages, 0, b"1").write(pages, 1, b"1").unlink(b"log")
    assert [files[b"pages"] for _, files in left(script)] == [b"00", b"10", b"11"]
    assert all(files[b"log"] == b"" for _, files in left(script))


def test_a_page_that_is_cut_is_written_again_and_those_behind_it_are_gone() -> None:
    script, file = synced(b"")
    fail(script.append(file, b"a" * 3 * PAGE_BYTES), file).truncate(file, PAGE_BYTES + 1)
    script.write(file, 0, b"b").acknowledge()
    assert left(script) == [(3, {b"log": b""}), (2, {b"log": b""})]


def test_a_file_that_gets_a_name_later_lacks_what_its_sync_lost() -> None:
    script = Script()
    file = script.create(b"", b"content")
    fail(script, file).link(file, b"log").acknowledge()
    assert left(script) == [(0, {b"log": b""})]


def cut_in(script: Script, file: int) -> None:
    revert(script.append(file, b"two"), file, b"one")  # a restart shows it


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
