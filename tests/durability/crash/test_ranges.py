"""Ranges allocated, put in, taken out: what cuts on Linux 6.18 have left, and what they may not.

Blocks stay where they are, only their places in the file change: what is written to one of them
is there whether or not the change of places is.
"""

from collections.abc import Callable

import pytest

from durability.crash.content import Content
from durability.crash.models import MODELS
from durability.crash.plan import Plan
from durability.crash.validation.script import Script

PAGE = 4096
TAKEN_OUT = 0x08
PUT_IN = 0x20
PROMISED = b"done\n"


def _synced(letters: bytes) -> tuple[Script, int]:
    script = Script()
    file = script.create(b"a", b"".join(bytes([letter]) * PAGE for letter in letters))
    return script.sync_all(), file


def put_in_behind() -> Script:
    script, file = _synced(b"ABC")
    return script.allocate(file, 2 * PAGE, PAGE, PUT_IN).write(file, 0, b"X" * PAGE)


def put_in_before() -> Script:
    script, file = _synced(b"ABC")
    return script.allocate(file, PAGE, PAGE, PUT_IN).write(file, 2 * PAGE, b"X" * PAGE)


def taken_out_before() -> Script:
    script, file = _synced(b"ABC")
    return script.allocate(file, 0, PAGE, TAKEN_OUT).write(file, PAGE, b"X" * PAGE)


def put_in_twice() -> Script:
    script, file = _synced(b"ABCD")
    script.allocate(file, PAGE, PAGE, PUT_IN).allocate(file, 0, PAGE, PUT_IN)
    return script.write(file, 3 * PAGE, b"X" * PAGE)


def cut_then() -> Script:
    script, file = _synced(b"ABC")
    script.allocate(file, 0, PAGE, PUT_IN).truncate(file, 3 * PAGE)
    return script.write(file, PAGE, b"X" * PAGE)


def into_the_new_room() -> Script:
    script, file = _synced(b"ABC")
    return script.allocate(file, PAGE, PAGE, PUT_IN).write(file, PAGE, b"X" * PAGE)


def of_an_unsynced_file() -> Script:
    script = Script()
    file = script.create(b"a")
    script.write(file, 0, b"A" * PAGE).write(file, PAGE, b"B" * PAGE)
    return script.allocate(file, PAGE, PAGE, PUT_IN).sync_directory()


def allocated_within() -> Script:
    script = Script()
    file = script.create(b"a")
    script.write(file, 2 * PAGE, b"A" * PAGE).allocate(file, 0, PAGE)
    return script.sync_directory()


def permitted(model: str, script: Script, pages: bytes) -> bool:
    content = b"".join(bytes([letter]).replace(b"0", b"\0") * PAGE for letter in pages)
    plan = Plan(MODELS[model], script.acknowledge().trace())
    found = Content({b"a": content}, {}, frozenset())
    return plan.explain(found, len(PROMISED)) is not None


@pytest.mark.parametrize("model", ["ext4-dioread_lock", "ext4-ordered", "xfs", "posix-default"])
@pytest.mark.parametrize(
    ("script", "may_be", "may_not_be"),
    [
        (put_in_behind, [b"ABC", b"XBC", b"AB0C", b"XB0C"], [b"X0BC"]),
        (put_in_before, [b"ABC", b"AXC", b"A0BC", b"A0XC"], [b"ABX", b"A0BX"]),
        (taken_out_before, [b"ABC", b"ABX", b"BC", b"BX"], [b"AXC"]),
        (put_in_twice, [b"AXCD", b"A0XCD", b"0A0XCD", b"ABCD"], [b"ABCX", b"0A0BCX"]),
        (cut_then, [b"XBC", b"0XBC", b"0AB", b"0XB"], [b"AXC"]),
        (into_the_new_room, [b"ABC", b"A0BC", b"AXBC"], [b"AXC"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_is_written_to_a_block_is_there_wherever_the_block_is(
    script: Callable[[], Script], may_be: list[bytes], may_not_be: list[bytes], model: str
) -> None:
    assert [pages for pages in may_be if not permitted(model, script(), pages)] == []
    assert [pages for pages in may_not_be if permitted(model, script(), pages)] == []


@pytest.mark.parametrize("model", ["ext4-dioread_lock", "ext4-ordered"])
def test_what_is_moved_is_there_without_the_pages_before_it(model: str) -> None:
    assert permitted(model, of_an_unsynced_file(), b"00B")
    assert not permitted(model, of_an_unsynced_file(), b"A00")


@pytest.mark.parametrize(
    ("model", "may_end_there"),
    [("ext4-dioread_lock", True), ("ext4-ordered", True), ("posix-default", True), ("xfs", False)],
)
def test_what_is_allocated_may_be_all_that_a_file_reaches_to(
    model: str, may_end_there: bool
) -> None:
    assert permitted(model, allocated_within(), b"0") == may_end_there
    assert permitted(model, allocated_within(), b"00A")
    assert not permitted(model, allocated_within(), b"00")


@pytest.mark.parametrize("model", ["ext4-dioread_lock", "ext4-ordered"])
def test_what_is_dropped_from_a_shifted_file_does_not_come_back(model: str) -> None:
    script = of_an_unsynced_file()
    script.allocate(1, 0, PAGE, TAKEN_OUT).sync_directory()
    assert permitted(model, script, b"0B")
    assert not permitted(model, script, b"0B0")


@pytest.mark.parametrize("model", ["prefix", "ext4-datajournal"])
def test_where_all_is_in_order_so_is_this(model: str) -> None:
    assert permitted(model, put_in_before(), b"A0XC")
    assert not permitted(model, put_in_before(), b"AXC")
