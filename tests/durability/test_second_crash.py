"""A second crash: what only that shows is found, under the right first one, and can be replayed."""

import shlex
from pathlib import Path

import pytest

from durability.campaign.course import joined
from durability.errors import InconclusiveError
from durability.second_crash import CRASHES
from durability.trace.records import AnyRecord, Kill, Link, Open, Output, Sync, Write
from durability.trace.trace import Trace
from tests.durability.commands import ROOT, Done, durability, program

HELD, VIOLATION, USAGE, INCONCLUSIVE = range(4)
KILL = Kill(0, 0, torn=False)

_PAGES = """
import os

def write(directory, ack):
    log = os.open(os.path.join(directory, "log"), os.O_WRONLY | os.O_CREAT)
    for number in range(2):
        os.pwrite(log, b"".join(bytes([number + page]) * 4096 for page in range(7)), 0)
        os.fsync(log)
        ack(number)

def recover(directory, acked):
    assert not acked or os.path.getsize(os.path.join(directory, "log")) == 7 * 4096
"""


def explored(target: str, cwd: str, *options: str) -> Done:
    return durability(
        "powerloss", target, *options, "--seed", "1", "--measure", "1", cwd=cwd, timeout_s=200
    )


def few(name: str, cwd: str, *options: str) -> Done:
    """Explore a few states of a program, each of which takes two processes."""
    counts = ("--model", "ext4-ordered", "--states", "180", "--crashes", "6")
    return explored(program(name), cwd, *counts, *options)


@pytest.mark.parametrize("first", ["--in-recovery", "--after-kill"])
def test_the_built_in_node_holds(first: str, tmp_path: object) -> None:
    for target in "reference", "reference-follower":
        counts = ("--crashes", "20", "--states", "400", "--model", "ext4-ordered,posix-default")
        done = explored(target, str(tmp_path), first, *counts)
        assert done.status == HELD, done.stdout
        assert done.document["first_crash"] == ("kill" if "kill" in first else "cut")
        for figures in done.document["models"].values():
            assert figures["first_crashes"] == 20
            assert figures["explored"] > 100


def test_what_was_read_from_the_cache_and_shown_must_be_there(tmp_path: object) -> None:
    cwd = str(tmp_path)
    assert few("good_append", cwd, "--after-kill").status == HELD
    assert few("trusts_cache", cwd, "--in-recovery").status == HELD
    done = few("trusts_cache", cwd, "--after-kill")
    assert done.status == VIOLATION, done.stdout
    (found,) = done.document["violations"]
    assert found["kind"] == "lost"
    assert "in the recovery of what a kill had left" in found["message"]
    assert {one["path"] for one in found["lost"]} == {"log"}
    replayed = durability(*shlex.split(found["reproduce"])[1:], cwd=cwd)
    assert replayed.status == VIOLATION
    assert replayed.document["violations"][0]["kind"] == "lost"


def test_what_a_recovery_writes_is_durable_before_it_shows_it(tmp_path: object) -> None:
    cwd = str(tmp_path)
    plain = ("--model", "ext4-ordered", "--states", "30")
    assert explored(program("unsynced_rewrite"), cwd, *plain).status == HELD
    done = few("unsynced_rewrite", cwd, "--in-recovery")
    assert done.status == VIOLATION, done.stdout
    (found,) = done.document["violations"]
    assert found["kind"] == "lost"
    assert "in the recovery of what a cut had left" in found["message"]
    replayed = durability(*shlex.split(found["reproduce"])[1:], cwd=cwd)
    assert replayed.status == VIOLATION
    assert replayed.document["violations"][0]["kind"] == "lost"


def test_the_source_lines_are_those_of_the_recovery(tmp_path: Path) -> None:
    store = f"{ROOT}/tests/stores/log_store.py:good:rewrite"
    counts = ("--model", "ext4-ordered", "--crashes", "6")
    done = explored(store, str(tmp_path), "--in-recovery", *counts)
    assert done.status == VIOLATION, done.stdout
    (found,) = done.document["violations"]
    sources = {one["source"].split(" < ")[0].rpartition(":")[0] for one in found["lost"]}
    assert {source.rpartition("/")[2] for source in sources} == {"log_store.py"}


@pytest.mark.parametrize(
    "options", [("--in-recovery", "--after-kill"), ("--crashes", "3")], ids=" ".join
)
def test_one_first_crash_at_a_time(options: tuple[str, ...], tmp_path: object) -> None:
    assert durability("powerloss", "reference", *options, cwd=str(tmp_path)).status == USAGE


def test_less_than_was_asked_for_shows_nothing(tmp_path: object) -> None:
    done = explored(
        "reference", str(tmp_path), "--after-kill", "--crashes", "1000", "--budget", "2"
    )
    assert done.status == INCONCLUSIVE
    assert any("of 1000 first crashes" in reason for reason in done.document["reasons"])


def test_all_is_all_first_crashes_too(tmp_path: Path) -> None:
    (tmp_path / "pages.py").write_text(_PAGES, encoding="utf-8")
    store = "./pages.py:write:recover"
    options = ("--exhaustive", "--model", "btrfs")
    first = explored(store, str(tmp_path), *options).document["models"]["btrfs"]
    assert first["explored"] > CRASHES
    done = explored(store, str(tmp_path), *options, "--in-recovery")
    assert done.status == HELD, done.stdout
    figures = done.document["models"]["btrfs"]
    assert figures["first_crashes"] == first["explored"]
    # This recovery changes nothing, so what a second cut leaves is what the first one left.
    assert figures["distinct"] == figures["legal"] == first["distinct"] < figures["explored"]
    assert done.document["notes"] == []
    done = explored(store, str(tmp_path), *options, "--in-recovery", "--crashes", "2")
    assert done.document["models"]["btrfs"]["first_crashes"] == 2
    assert any("there may be more" in note for note in done.document["notes"])


@pytest.mark.parametrize("model", ["xfs", "btrfs"])
def test_the_power_is_not_cut_in_a_sync_that_had_returned_before_the_kill(
    model: str, tmp_path: Path
) -> None:
    store = f"{ROOT}/tests/stores/log_store.py:good:recover"
    done = explored(store, str(tmp_path), "--model", model, "--after-kill", "--exhaustive")
    assert done.status == HELD, done.stdout
    assert done.document["models"][model]["first_crashes"] > 10


def opened(file: int, path: bytes) -> Open:
    return Open(1, file, path, 0, created=True)


def test_a_run_and_its_recovery_are_joined_by_the_paths_of_files() -> None:
    first = Trace(
        [opened(3, b"a")],
        [Write(1, 3, b"a", 0, b"1", 1), Output(b"ack 1\n"), opened(5, b"b"), KILL],
        {0: "store.py:1", 2: "store.py:2"},
    )
    recovery: list[AnyRecord] = [
        Write(1, 2, b"a", 1, b"2", 1),
        opened(9, b"c"),
        Sync(1, b"b", data_only=False),
        Sync(1, b"c", data_only=False, file=9),
        Output(b"item 1\n"),
    ]
    second = Trace([opened(2, b"a"), opened(1, b"b")], recovery, {1: "store.py:3"})
    trace, since = joined(first, second)
    assert trace.initial == first.initial
    assert trace.records == [
        Write(1, 3, b"a", 0, b"1", 1),
        opened(5, b"b"),
        Write(1, 3, b"a", 1, b"2", 1),
        opened(6, b"c"),
        Sync(1, b"b", data_only=False),
        Sync(1, b"c", data_only=False, file=6),
        Output(b"item 1\n"),
    ]
    assert trace.sources == {0: "store.py:1", 1: "store.py:2", 3: "store.py:3"}
    assert since == 2


def test_files_with_several_names_are_not_followed() -> None:
    first = Trace([opened(3, b"a")], [Link(1, 3, b"b"), KILL])
    with pytest.raises(InconclusiveError, match="several names"):
        joined(first, Trace([], []))
