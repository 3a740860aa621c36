"""A drive that lies: what it has kept, and what the kernel never sends again."""

import os

from hypothesis import given

from durability.crash.content import Content
from durability.crash.validation.script import Script
from durability.disk.drive import Drive, Window, states, windows
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.records import SyncAll
from tests.durability.crash.runs import small_runs


def on_drive(script: Script, first: int, last: int) -> dict[bytes, bytes]:
    """Return the files on the drive, where all syncs persist nothing from one to another."""
    trace = script.trace()
    window = Window(first, last, len(trace.records), holds=False)
    ((_, content),) = states(trace, [window])
    return dict(content.files)


def test_what_a_sync_was_to_write_is_not_there() -> None:
    script = Script()
    file = script.create(b"log", b"one")
    script.sync(file).append(file, b"two").sync(file)
    assert on_drive(script, 2, 2) == {b"log": b"one"}
    assert on_drive(script, 1, 2) == {}


def test_the_kernel_does_not_send_again_what_the_drive_has_acknowledged() -> None:
    script = Script()
    file = script.create(b"log", b"a" * PAGE_BYTES)
    script.sync(file).append(file, b"b" * PAGE_BYTES).sync(file)
    assert on_drive(script, 1, 1) == {b"log": bytes(PAGE_BYTES) + b"b" * PAGE_BYTES}
    script.write(file, 5, b"A").sync(file)
    a = b"a" * 5 + b"A" + b"a" * (PAGE_BYTES - 6)
    assert on_drive(script, 1, 1) == {b"log": a + b"b" * PAGE_BYTES}, "pages are sent whole"


def test_names_are_those_of_the_last_sync_that_was_kept() -> None:
    script = Script()
    file = script.create(b"new", b"one")
    script.sync(file).rename(b"new", b"log").sync_directory()
    assert on_drive(script, 2, 2) == {b"new": b"one"}
    script.sync_bystander()
    assert on_drive(script, 2, 2) == {b"log": b"one", b"bystander": b"x"}


def test_a_synchronous_write_is_a_sync() -> None:
    script = Script()
    file = script.create(b"log", b"one")
    script.sync(file).write(file, 3, b"two", os.RWF_DSYNC)
    assert on_drive(script, 2, 2) == {b"log": b"one"}
    assert on_drive(script.sync_directory(), 3, 3) == {b"log": b"onetwo"}


def test_windows_double_and_end_behind_what_the_next_sync_permitted() -> None:
    script = Script()
    file = script.create(b"log")
    for number in range(4):
        script.append(file, b"x").sync(file).acknowledge(b"%d\n" % number)
    ends = {number: 1 + 3 * number for number in range(1, 5)}
    assert list(windows(script.trace())) == [
        Window(1, 1, ends[2], holds=True),
        Window(1, 2, ends[3], holds=True),
        Window(1, 4, ends[4], holds=False),
        Window(2, 2, ends[3], holds=True),
        Window(2, 3, ends[4], holds=True),
        Window(2, 4, ends[4], holds=False),
        Window(3, 3, ends[4], holds=True),
        Window(3, 4, ends[4], holds=False),
        Window(4, 4, ends[4], holds=False),
    ]


@given(small_runs(steps_max=12))
def test_one_that_never_lies_has_all_that_was_synced(script: Script) -> None:
    trace = script.trace()
    honest, liar = Drive(trace), Drive(trace)
    for record in [*trace.records, SyncAll(1)]:
        honest.apply(record, lies=False)
        liar.apply(record, lies=True)
    assert honest.content() == Content.of(trace.tree())
    assert liar.content() == Content({}, {}, frozenset())
