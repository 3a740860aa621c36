"""Truncations to a size that the file on disk may have already, as cuts of ext4 have shown them.

fdatasync commits a changed size, and with it the log so far; where there is no change it does not.
"""

from collections.abc import Callable

import pytest

from durability.crash.content import Content
from durability.crash.models import MODELS
from durability.crash.plan import Plan
from durability.crash.validation.script import Script

PAGE = 4096
PROMISED = b"done\n"


def _renamed(first: bytes, *, synced: bool) -> tuple[Script, int]:
    script = Script()
    file = script.create(b"old", first)
    if synced:
        script.sync_all()
    else:
        script.sync_directory()
    return script.rename(b"old", b"new"), file


def never_written() -> tuple[Script, int, bytes]:
    script, file = _renamed(b"A" * 30, synced=False)
    return script.truncate(file, 0), file, b""


def appended_and_cut() -> tuple[Script, int, bytes]:
    script, file = _renamed(b"A" * PAGE, synced=True)
    return script.append(file, b"B" * 100).truncate(file, PAGE), file, b"A" * PAGE


def written() -> tuple[Script, int, bytes]:
    script, file = _renamed(b"A" * 30, synced=True)
    return script.truncate(file, 0), file, b""


def appended_in_place_and_cut() -> tuple[Script, int, bytes]:
    script, file = _renamed(b"A" * 100, synced=True)
    return script.append(file, b"B" * 100).truncate(file, 100), file, b"A" * 100


def cut_and_written() -> tuple[Script, int, bytes]:
    script, file = _renamed(b"A" * 30, synced=False)
    return script.truncate(file, 0).write(file, 0, b"B" * 10), file, b"B" * 10


@pytest.mark.parametrize(
    ("model", "is_taken"), [("ext4-dioread_lock", True), ("btrfs", True), ("xfs", False)]
)
def test_a_truncation_to_the_same_size_may_bring_that_without_its_data(
    model: str, is_taken: bool
) -> None:
    script = Script()
    file = script.create(b"a", b"A" * PAGE)
    plan = Plan(MODELS[model], script.truncate(file, PAGE).acknowledge().trace())
    found = Content({b"a": bytes(PAGE)}, {}, frozenset())
    assert (plan.explain(found, len(PROMISED)) is not None) == is_taken


Run = Callable[[], tuple[Script, int, bytes]]


@pytest.mark.parametrize("model", ["ext4-dioread_lock", "ext4-ordered", "ext4-writeback"])
@pytest.mark.parametrize("data_only", [True, False])
@pytest.mark.parametrize(
    ("run", "is_idle"),
    [
        (never_written, True),
        (appended_and_cut, True),
        (written, False),
        (appended_in_place_and_cut, False),
        (cut_and_written, False),
    ],
)
def test_fdatasync_of_an_idle_truncation_leaves_the_rename_to_the_log(
    run: Run, is_idle: bool, data_only: bool, model: str
) -> None:
    script, file, content = run()
    trace = script.sync(file, data_only=data_only).acknowledge().trace()
    plan = Plan(MODELS[model], trace)

    def permitted(name: bytes, data: bytes) -> bool:
        return plan.explain(Content({name: data}, {}, frozenset()), len(PROMISED)) is not None

    assert permitted(b"new", content)
    assert permitted(b"old", content) == (is_idle and data_only)
    assert not permitted(b"new", content + b"\0")  # the truncation is never lost
