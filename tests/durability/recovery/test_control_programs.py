import os
import signal
import sys
from pathlib import Path

import pytest

from durability.recovery import recover
from durability.recovery.process import Ended, run
from durability.targets.contract import Command, Target
from durability.targets.program import load_program

PROGRAMS = Path(__file__).parents[2] / "programs"
ALL = sorted(path.stem for path in PROGRAMS.glob("*.toml"))
RECORD_BYTES = 68  # of good_append and of what writes as it does
HEADER_BYTES = 8


@pytest.fixture(autouse=True)
def _this_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}")


def load(name: str) -> Target:
    return load_program(str(PROGRAMS / f"{name}.toml"))


def run_to_its_end(target: Target, directory: Path) -> Ended:
    ended = run(
        target.workload(str(directory)),
        timeout_s=60.0,
        stdout_limit_bytes=1 << 20,
        stderr_limit_bytes=1 << 14,
    )
    assert ended.exit_status == 0, ended.stderr
    return ended


def said(target: Target, ended: Ended) -> tuple[list[str], list[str]]:
    """Return the ids that were announced and those that were acknowledged."""
    assert target.speech.announced is not None
    lines = ended.stdout.decode().splitlines()
    announced, acknowledged = (
        [match["id"] for match in map(pattern.search, lines) if match]
        for pattern in (target.speech.announced, target.speech.acknowledged)
    )
    return announced, acknowledged


# These say nothing, keep another order, or end before the last of what they say is written.
OTHERS = {"silent", "set_store", "loses_order", "served_early"}


@pytest.mark.parametrize("name", sorted(set(ALL) - OTHERS))
def test_without_a_crash_all_is_there_in_order(name: str, tmp_path: Path) -> None:
    target = load(name)
    announced, acknowledged = said(target, run_to_its_end(target, tmp_path))
    assert len(set(announced)) == 200
    assert announced == acknowledged
    recovery = recover(target, str(tmp_path))
    assert (recovery.outcome, recovery.items) == ("recovered", announced)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) >= 8192


def test_silent_writes_but_promises_nothing(tmp_path: Path) -> None:
    target = load("silent")
    assert said(target, run_to_its_end(target, tmp_path)) == ([], [])
    assert len(recover(target, str(tmp_path)).items) == 200


@pytest.mark.parametrize("name", ["set_store", "loses_order"])
def test_without_a_crash_all_is_there_in_another_order(name: str, tmp_path: Path) -> None:
    target = load(name)
    announced, _ = said(target, run_to_its_end(target, tmp_path))
    items = recover(target, str(tmp_path)).items
    assert sorted(items) == sorted(announced)
    assert target.order == ("set" if name == "set_store" else "exact")
    if name == "loses_order":
        assert items == announced[::2] + announced[1::2]


def test_run_goes_on_after_what_was_there(tmp_path: Path) -> None:
    target = load("good_append")
    announced, _ = said(target, run_to_its_end(target, tmp_path))
    os.truncate(tmp_path / "log", 150 * RECORD_BYTES + 1)
    assert said(target, run_to_its_end(target, tmp_path))[0] == announced[150:]
    assert recover(target, str(tmp_path)).items == announced


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("good_append", "recovered"),
        ("never_recovers", "failed"),
        ("dies_by_signal", "signalled"),
    ],
)
@pytest.mark.parametrize("left_bytes", [1, HEADER_BYTES, RECORD_BYTES - 1])
def test_torn_tail(name: str, outcome: str, left_bytes: int, tmp_path: Path) -> None:
    target = load(name)
    announced, _ = said(target, run_to_its_end(target, tmp_path))
    os.truncate(tmp_path / "log", 3 * RECORD_BYTES)
    whole = recover(target, str(tmp_path))
    assert (whole.outcome, whole.items) == ("recovered", announced[:3])
    os.truncate(tmp_path / "log", 3 * RECORD_BYTES + left_bytes)
    torn = recover(target, str(tmp_path))
    assert torn.outcome == outcome
    assert torn.items == (announced[:3] if outcome == "recovered" else [])


def test_no_checksum_takes_a_torn_record(tmp_path: Path) -> None:
    target = load("no_checksum")
    announced, _ = said(target, run_to_its_end(target, tmp_path))
    assert os.path.getsize(tmp_path / "log") == 200 * 64  # so that none straddles a page
    os.truncate(tmp_path / "log", 3 * 64 - 1)
    assert recover(target, str(tmp_path)).items == [*announced[:2], announced[2][:-1]]


@pytest.mark.parametrize(("name", "outcome"), [("rename_store", "recovered"), ("hangs", "hung")])
def test_left_over_temporary(name: str, outcome: str, tmp_path: Path) -> None:
    target = load(name)
    (tmp_path / "state").write_text("a\nb\n")
    (tmp_path / "state.tmp").write_text("a\nb\nc")
    recovery = recover(target, str(tmp_path))
    assert recovery.outcome == outcome
    assert recovery.items == (["a", "b"] if outcome == "recovered" else [])


def test_set_store_drops_an_unfinished_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a\n")
    (tmp_path / "b").write_text("b")
    recovery = recover(load("set_store"), str(tmp_path))
    assert recovery.items == ["a"]
    assert os.listdir(tmp_path) == ["a"]


def run_until_append(number: int, program: str, directory: Path) -> Ended:
    """Run a program, and kill it when it is about to append for the given time."""
    script = f"""
import itertools, os, signal
import good_append
append, calls = good_append.append, itertools.count(1)
def append_or_die(log, text):
    if next(calls) == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
    append(log, text)
good_append.append = append_or_die
import {program}
"""
    argv = (sys.executable, "-c", script, "run", str(directory), "--forever")
    ended = run(
        Command(argv, os.environ, str(PROGRAMS)),
        timeout_s=60.0,
        stdout_limit_bytes=1 << 20,
        stderr_limit_bytes=1 << 14,
    )
    assert ended.signal == signal.SIGKILL, ended.stderr
    return ended


def test_ack_before_write_loses_what_it_promised(tmp_path: Path) -> None:
    target = load("ack_before_write")
    _, acknowledged = said(target, run_until_append(100, "ack_before_write", tmp_path))
    assert len(acknowledged) == 100
    assert recover(target, str(tmp_path)).items == acknowledged[:99]


def test_buffers_has_said_nothing_when_it_is_killed(tmp_path: Path) -> None:
    assert run_until_append(100, "buffers", tmp_path).stdout == b""
    assert len(recover(load("buffers"), str(tmp_path)).items) == 99


def test_for_ever_does_not_end_with_the_last_item(tmp_path: Path) -> None:
    run_until_append(301, "silent", tmp_path)
    assert len(recover(load("silent"), str(tmp_path)).items) == 300
