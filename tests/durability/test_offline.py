"""Exploring every kill state, against programs whose states and verdicts are known."""

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest

from durability.audit.violation import Violation
from durability.campaign.crash_cycle import CrashCycle, announced
from durability.campaign.cycle import Cycle, Plan
from durability.campaign.kill_explorer import Explorer
from durability.crash.kill_states import Walk, kill_states
from durability.offline import Scope, explore
from durability.recording import traced
from durability.report.result import Result
from durability.targets import catalogue, reference
from durability.targets.contract import Call, Speech, Target
from raft.filesystem import Filesystem, LocalFilesystem, read_all
from tests.durability.commands import durability, program
from tests.durability.trace.alone import alone

HELD, VIOLATION, USAGE, INCONCLUSIVE = range(4)
SPEECH = Speech(
    acknowledged=re.compile(r"^ack (?P<id>.+)$"),
    announced=re.compile(r"^item (?P<id>.+)$"),
    recovered=re.compile(r"^item (?P<id>.+)$"),
)
REFERENCE = catalogue.find("reference")
REAL_KILLS = 120
"""`durability crash --offline --cross-check 1000` does as many as one likes."""


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def work(directory: str) -> None:
    """Write three lines, and promise each."""
    file = os.open(os.path.join(directory, "log"), os.O_WRONLY | os.O_CREAT)
    for number in range(3):
        say(f"item {number}")
        os.write(file, b"%d\n" % number)
        os.fsync(file)
        say(f"ack {number}")


def lines(directory: str) -> list[str]:
    path = os.path.join(directory, "log")
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return file.read().split("\n")[:-1]


def recover(directory: str) -> None:
    for line in lines(directory):
        print("item", line)  # noqa: T201 - the way that a function under test prints


def store(
    recovery: Callable[[str], None] = recover,
    workload: Callable[[str], None] = work,
    timeout_s: float = 10.0,
) -> Target:
    return Target(
        name="store",
        workload=lambda directory: Call(partial(workload, directory)),
        recovery=lambda directory: Call(partial(recovery, directory)),
        recovers_by_call=True,
        speech=SPEECH,
        tear="byte",
        recovery_timeout_s=timeout_s,
    )


def plan_in(directory: Path, *, name: str = "store") -> Plan:
    return Plan(
        target_name=name,
        seed=1,
        mechanism="seccomp",
        tear="byte",
        directory=str(directory),
        findings=str(directory / "findings"),
        deadline_s=30.0,
    )


def explored(target: Target, directory: Path, checked: int = 0) -> Result:
    scope = Scope(jobs=1, checked=checked)
    return alone(lambda: explore(target, plan_in(directory), scope, lambda _: None))


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


def counting_recover(counter: str, directory: str) -> None:
    with open(counter, "a") as file:
        file.write("x")
    recover(directory)


def count_of(path: Path) -> int:
    return len(path.read_text())


def test_one_content_is_recovered_once_and_judged_by_all_that_was_promised(tmp_path: Path) -> None:
    """The item is shown to be lost by the later of two moments with one content, not before."""

    def acknowledge_what_is_not_there(directory: str) -> None:
        os.close(os.open(os.path.join(directory, "log"), os.O_WRONLY | os.O_CREAT))
        say("item 0")
        say("ack 0")

    counter = tmp_path / "counter"
    target = store(partial(counting_recover, str(counter)), acknowledge_what_is_not_there)
    plan = plan_in(tmp_path)
    trace, _ = alone(lambda: traced(target, plan))
    states = kill_states(trace, "byte")
    contents = [Walk(trace).content(state) for state in states]
    assert len(states) == 3
    assert contents[1] == contents[2]
    assert len({content.digest() for content in contents}) == 2

    def cycles() -> list[Cycle]:
        later = announced(target, trace)
        alone_each = replace(target, recovers_by_call=False)
        with Explorer(alone_each, plan, trace, states, later) as explorer:
            return explorer.explore(range(3))

    found = alone(cycles)
    assert [cycle.lost for cycle in found] == [0, 0, 1]
    assert [[f.violation.kind for f in cycle.found] for cycle in found] == [[], [], ["lost"]]
    assert count_of(counter) == 3  # the run without a kill, and each content


def test_the_earlier_of_two_moments_with_one_content_has_announced_less(tmp_path: Path) -> None:
    """What is there before it was announced is a fault, which a later moment does not excuse."""

    def announce_late(directory: str) -> None:
        file = os.open(os.path.join(directory, "log"), os.O_WRONLY | os.O_CREAT)
        os.write(file, b"0\n")
        say("item 0")
        say("ack 0")

    result = explored(store(workload=announce_late), tmp_path)
    assert result.verdict == "inconclusive"
    assert "had not announced yet" in result.reasons[-1]


def raises(directory: str) -> None:
    recover(directory)
    raise ValueError("no")


def hangs(directory: str) -> None:
    recover(directory)
    time.sleep(1000)


def dies(directory: str) -> None:
    recover(directory)
    os.kill(os.getpid(), signal.SIGKILL)


def exits(directory: str) -> None:
    recover(directory)
    sys.exit(3)


def on_two_lines(then: Callable[[str], None], directory: str) -> None:
    (then if len(lines(directory)) == 2 else recover)(directory)


@pytest.mark.parametrize(
    ("then", "kind"),
    [
        (raises, "recovery-failed"),
        (hangs, "recovery-hung"),
        (dies, "recovery-signalled"),
        (exits, "recovery-failed"),
    ],
)
def test_a_recovery_that_goes_wrong_in_one_state_is_found_in_that_state(
    tmp_path: Path, then: Callable[[str], None], kind: str
) -> None:
    result = explored(store(partial(on_two_lines, then), timeout_s=0.5), tmp_path)
    (violation,) = result.violations
    assert violation.kind == kind
    two = result.figures["violating_kills"][kind]
    assert 2 <= two < result.figures["states"] / 2
    assert os.listdir(tmp_path / "findings") == [violation.reproduce.rpartition("/")[2]]


def exits_at_once(directory: str) -> None:
    recover(directory)
    sys.stdout.flush()
    os._exit(0)


def leaves_a_descriptor(directory: str) -> None:
    os.open(directory, os.O_RDONLY)
    recover(directory)


def leaves_a_child(directory: str) -> None:
    recover(directory)
    sys.stdout.flush()
    if not os.fork():
        os.close(1)
        time.sleep(1000)


def remembers(seen: list[str], directory: str) -> None:
    """Work only in a process of its own: what one recovery found, the next one finds too."""
    seen += lines(directory)
    for line in seen:
        print("item", line)  # noqa: T201 - the way that a function under test prints


@pytest.mark.parametrize(
    "recovery",
    [exits_at_once, leaves_a_descriptor, leaves_a_child, partial(remembers, [])],
    ids=["exits at once", "leaves a descriptor", "leaves a child", "remembers"],
)
def test_a_recovery_that_does_not_bear_company_gets_a_process_for_itself(
    tmp_path: Path, recovery: Callable[[str], None]
) -> None:
    counter = tmp_path / "counter"

    def counted(directory: str) -> None:
        with open(counter, "a") as file:
            file.write("x")
        recovery(directory)

    result = explored(store(counted), tmp_path)
    assert result.verdict == "held", result.document()
    assert result.figures["coverage"] == 1.0
    assert count_of(counter) > 1 + result.figures["distinct_states"]


def test_the_built_in_node_is_recovered_alike_in_memory_and_in_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_in(tmp_path, name="reference")
    trace, _ = alone(lambda: traced(REFERENCE, plan))
    states = kill_states(trace, "page")

    def cycles(*, batched: bool) -> list[Cycle]:
        target = replace(REFERENCE, recovers_by_call=batched)
        with Explorer(target, plan, trace, states, announced(target, trace)) as explorer:
            if batched:  # and never any other way
                monkeypatch.setattr(explorer._bench, "judge", lambda *_: iter(()))
            return explorer.explore(range(len(states)))

    assert alone(partial(cycles, batched=True)) == alone(partial(cycles, batched=False))


def recover_and_litter(directory: str | Filesystem) -> None:
    """Leave a temporary behind, but only where the log's bytes are odd in number."""
    filesystem = LocalFilesystem(directory) if isinstance(directory, str) else directory
    logs = [name for name in filesystem.names() if name.endswith(".segment")]
    odd = sum(len(read_all(filesystem, name)) for name in logs) % 2
    reference._recover(directory)
    if odd:
        filesystem.create("metadata.tmp")


def test_a_defect_that_shows_in_some_states_is_found_in_these_and_no_others(tmp_path: Path) -> None:
    """All of them have been promised the same: a batch must judge each by what it recovered to."""
    target = replace(
        REFERENCE,
        recovery=lambda directory: Call(partial(recover_and_litter, directory)),
        recover_in_memory=recover_and_litter,
    )
    plan = plan_in(tmp_path, name="reference")
    trace, _ = alone(lambda: traced(REFERENCE, plan))
    states = kill_states(trace, "byte")
    numbers = range(len(states) // 2, len(states) // 2 + 30)
    walk = Walk(trace)

    def cycles(batch_states: int) -> list[Cycle]:
        with Explorer(target, plan, trace, states, announced(target, trace)) as explorer:
            batches = range(numbers.start, numbers.stop, batch_states)
            found = (explorer.explore(range(at, at + batch_states)) for at in batches)
            return [cycle for batch in found for cycle in batch]

    def is_odd(number: int) -> bool:
        files = walk.content(states[number]).files
        return bool(sum(len(data) for path, data in files.items() if b"segment" in path) % 2)

    expected = [["temporary-left"] if is_odd(number) else [] for number in numbers]
    assert 5 < sum(map(len, expected)) < 25
    for batch_states in (30, 2):
        found = alone(partial(cycles, batch_states))
        assert [[f.violation.kind for f in cycle.found] for cycle in found] == expected


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
