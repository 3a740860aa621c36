"""Judging kill states: each content once, sure of what goes wrong, and the same either way."""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from durability.campaign.crash_cycle import announced
from durability.campaign.cycle import Cycle
from durability.campaign.kill_explorer import Explorer
from durability.crash.kill_states import Walk, kill_states
from durability.recording import traced
from durability.targets import catalogue, reference
from durability.targets.contract import Call
from raft.filesystem import Filesystem, LocalFilesystem, read_all
from tests.durability.line_store import explored, lines, plan_in, recover, say, store
from tests.durability.trace.alone import alone

REFERENCE = catalogue.find("reference")


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
