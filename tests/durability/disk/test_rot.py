"""Rot changes one place of what was at rest, into something that could have come there."""

import os

import pytest

from durability.crash.validation.script import Script
from durability.disk.rot import SECTOR_BYTES, AtRest
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.volatile import Volatile

NOTHING = Volatile(())


def sector(letter: bytes) -> bytes:
    return letter * SECTOR_BYTES


def at_rest(*, volatile: Volatile = NOTHING, seed: int = 1) -> AtRest:
    """Return two files, of two sectors and a half, and of four pages; one sector is rewritten."""
    script = Script()
    log = script.create(b"log", sector(b"a") + sector(b"b") + b"c" * 256)
    index = script.create(b"index", b"".join(b"%d" % page * PAGE_BYTES for page in range(4)))
    script.sync(log).sync(index).sync_directory()
    script.write(log, SECTOR_BYTES, sector(b"B")).sync(log).acknowledge()
    script.append(log, b"unsynced")
    return AtRest(script.trace(), volatile, seed)


def test_what_came_behind_the_last_sync_is_not_at_rest() -> None:
    rest = at_rest()
    assert rest.content.files[b"log"] == sector(b"a") + sector(b"B") + b"c" * 256
    assert rest.trace.lines() == []


def test_one_bit_is_flipped_in_each_stretch() -> None:
    rest = at_rest()
    damages = rest.damages("flipped")
    places = {(damage.path, damage.patches[0].offset // 64) for damage in damages}
    assert len(places) == len(damages) == (1280 + 4 * PAGE_BYTES) // 64
    for damage in damages:
        ((offset, flipped),) = damage.patches
        assert (rest.content.files[damage.path][offset] ^ flipped[0]).bit_count() == 1


def test_a_sector_is_what_it_was() -> None:
    rest = at_rest()
    (damage,) = rest.damages("stale")
    assert damage.of(rest.content).files[b"log"] == sector(b"a") + sector(b"b") + b"c" * 256
    assert str(damage) == "log at 512: an older sector"


def test_two_whole_blocks_change_places() -> None:
    rest = at_rest()
    logs = [damage for damage in rest.damages("swapped") if damage.path == b"log"]
    changed = {damage.of(rest.content).files[b"log"] for damage in logs}
    assert changed == {sector(b"B") + sector(b"a") + b"c" * 256}
    pages = [d for d in rest.damages("swapped") if "4096" in d.how and "0 and 1" in d.how]
    swapped = pages[0].of(rest.content).files[b"index"]
    assert swapped[:PAGE_BYTES] == b"1" * PAGE_BYTES
    assert swapped[PAGE_BYTES : 2 * PAGE_BYTES] == b"0" * PAGE_BYTES


def test_a_block_of_one_file_is_written_into_another() -> None:
    rest = at_rest()
    for damage in rest.damages("misdirected"):
        other = b"index" if damage.path == b"log" else b"log"
        assert damage.patches[0].data in rest.content.files[other]


@pytest.mark.parametrize("fault", ["flipped", "stale", "swapped", "misdirected"])
def test_each_changes_its_place_and_no_other(fault: str) -> None:
    rest = at_rest()
    damages = rest.damages(fault)
    assert damages
    for damage in damages:
        after = damage.of(rest.content)
        places = {at for offset, data in damage.patches for at in range(offset, offset + len(data))}
        for path, data in rest.content.files.items():
            if path != damage.path:
                assert after.files[path] == data
            else:
                assert len(after.files[path]) == len(data)
                changed = {at for at, byte in enumerate(data) if after.files[path][at] != byte}
                assert changed
                assert changed <= places
    assert [str(damage) for damage in damages] == [str(d) for d in at_rest().damages(fault)]


def test_what_is_kept_of_two_blocks_is_not_what_lies_between() -> None:
    script = Script()
    pages = [bytes([page]) * PAGE_BYTES for page in range(64)]
    script.sync(script.create(b"data", b"".join(pages)))
    rest = AtRest(script.trace(), NOTHING, 1)
    swaps = rest.damages("swapped")
    assert any("blocks 0 and" in swap.how and "0 and 1 " not in swap.how for swap in swaps)
    assert max(sum(len(patch.data) for patch in swap.patches) for swap in swaps) == 2 * PAGE_BYTES


def test_a_synchronous_write_is_a_sync() -> None:
    script = Script()
    log = script.create(b"log")
    script.sync(log).sync_directory()
    for text in sector(b"a"), sector(b"b"):
        script.write(log, 0, text, os.RWF_DSYNC).acknowledge(text[:1] + b"\n")
    rest = AtRest(script.trace(), NOTHING, 1)
    assert rest.content.files[b"log"] == sector(b"b")
    assert rest.trace.lines() == ["a"]
    (damage,) = rest.damages("stale")
    assert damage.of(rest.content).files[b"log"] == sector(b"a")


def test_what_recovery_does_not_trust_does_not_rot() -> None:
    rest = at_rest(volatile=Volatile(("index",)))
    assert {damage.path for damage in rest.damages("flipped")} == {b"log"}


def test_a_run_without_a_sync_has_nothing_at_rest() -> None:
    script = Script()
    script.create(b"log", b"one")
    assert AtRest(script.trace(), NOTHING, 1).damages("flipped") == []
