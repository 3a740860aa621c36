"""Exploring every kill state, against programs whose states and verdicts are known."""

import os
import time
from pathlib import Path

import msgspec
import pytest

from durability.audit.violation import Violation
from durability.campaign.crash_cycle import CrashCycle, announced
from durability.campaign.cycle import Cycle
from durability.crash.kill_states import Walk, kill_states
from durability.recording import traced
from durability.targets import catalogue
from tests.durability.commands import durability, program
from tests.durability.line_store import explored, lines, plan_in, say, store
from tests.durability.trace.alone import alone

HELD, VIOLATION, USAGE, INCONCLUSIVE = range(4)
REFERENCE = catalogue.find("reference")
REAL_KILLS = 120
"""`durability crash --offline --cross-check 1000` does as many as one likes."""


def test_every_state_of_a_good_store_is_recovered_and_held(tmp_path: Path) -> None:
    result = explored(store(), tmp_path, checked=7)
    figures = result.figures
    assert result.verdict == "held", result.document()
    # The start, the file, six bytes; behind each write what it acknowledged and announced next.
    assert figures["distinct_states"] == 8
    assert figures["states"] == figures["kills"] == figures["landed"]
    assert figures["states"] > figures["distinct_states"]
    assert figures["coverage"] == 1.0
    assert figures["torn"] == 3
    assert figures["checked_by_kills"] == figures["checked_equal"] == 7


def test_real_kills_leave_the_states_of_the_trace_to_the_byte(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, name="reference")
    trace, _ = alone(lambda: traced(REFERENCE, plan))
    states = [state for state in kill_states(trace, "byte") if state.offset or state.calls]
    sample = states[:: len(states) // REAL_KILLS]

    def killed() -> list[Cycle]:
        later = announced(REFERENCE, trace)
        with CrashCycle(REFERENCE, plan) as cycle:
            return [cycle.kill_at(state.order(), later) for state in sample]

    walk = Walk(trace)
    for state, cycle in zip(sample, alone(killed), strict=True):
        assert cycle.landed, cycle.why
        assert (cycle.offset, cycle.calls, cycle.torn) == (state.offset, state.calls, state.torn)
        assert cycle.digest == walk.content(state).digest()
        assert cycle.found == []


def test_a_planted_difference_between_trace_and_kill_is_seen(tmp_path: Path) -> None:
    """A program that never writes the same twice: its real kills leave other bytes."""

    def write_the_time(directory: str) -> None:
        file = os.open(os.path.join(directory, "log"), os.O_WRONLY | os.O_CREAT)
        say("item 0")
        os.write(file, b"%020d\n" % time.time_ns())
        say("ack 0")

    def find_one(directory: str) -> None:
        for _ in lines(directory):
            say("item 0")

    result = explored(store(find_one, write_the_time), tmp_path, checked=50)
    assert result.verdict == "held", result.document()
    assert 0 < result.figures["checked_equal"] < result.figures["checked_by_kills"]
    assert "does not write the same in every run" in result.notes[-1]


def test_a_violation_is_kept_with_the_trace_of_its_state(tmp_path: Path) -> None:
    arguments = ("crash", program("ack_before_write"), "--offline", "--tear", "none")
    done = durability(*arguments, "--budget", "4", cwd=str(tmp_path))
    found = done.document
    assert done.status == VIOLATION, done.stdout + done.stderr
    (violation,) = found["violations"]
    assert violation["kind"] == "lost"
    assert "kill between two calls" in violation["message"]
    again = durability("replay", violation["reproduce"].split()[-1], cwd=str(tmp_path))
    assert again.status == VIOLATION
    assert [found["kind"] for found in again.document["violations"]] == ["lost"]


def test_the_command_covers_the_built_in_node(tmp_path: Path) -> None:
    done = durability("crash", "--offline", "--tear", "page", "--seed", "1", cwd=str(tmp_path))
    found = done.document
    assert done.status == HELD, done.stdout + done.stderr
    assert found["coverage"] == 1.0
    assert found["states"] == found["kills"] == found["landed"] > 150
    assert found["distinct_states"] > 100
    assert found["states_per_second"] > 0
    assert found["checked_by_kills"] == found["checked_equal"] >= 1
    assert found["acked"] > 1000
    assert found["lost"] == 0
    assert "100.0% of the" in done.stdout


def test_a_budget_ends_it_with_the_coverage_printed(tmp_path: Path) -> None:
    arguments = ("crash", "--offline", "--tear", "byte", "--budget", "2")
    done = durability(*arguments, cwd=str(tmp_path))
    assert done.status == HELD, done.stdout
    assert 0 < done.document["coverage"] < 1
    asked = durability(*arguments, "--cross-check", "5", cwd=str(tmp_path))
    assert asked.status == INCONCLUSIVE
    assert "time was up" in asked.document["reasons"][0]


def test_a_program_that_cannot_be_traced_whole_is_not_explored(tmp_path: Path) -> None:
    def map_a_file(directory: str) -> None:
        import mmap

        file = os.open(os.path.join(directory, "log"), os.O_RDWR | os.O_CREAT)
        os.write(file, bytes(4096))
        with mmap.mmap(file, 4096) as mapping:
            mapping[:1] = b"1"

    with pytest.raises(Exception, match="not traced"):
        explored(store(workload=map_a_file), tmp_path)


def test_violations_are_compared_by_kind() -> None:
    """The two ways of judging are compared by what they found, not by how it was worded."""
    from durability.campaign.cycle import Found
    from durability.offline import _are_alike

    first, second = (
        Cycle(number=1, found=[Found(Violation(kind="lost", invariant="", message=text), "byte")])
        for text in ("one", "two")
    )
    clean = Cycle(number=1)
    assert _are_alike(first, second, "byte")
    assert not _are_alike(first, clean, "byte")
    assert not _are_alike(clean, first, "byte")
    coarser = Cycle(number=1, found=[msgspec.structs.replace(first.found[0], tear="page")])
    assert _are_alike(coarser, clean, "byte")  # it was repeated, and showed more there
