import os
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from durability.crash.content import Content
from durability.crash.kill_states import KillState, Walk, kill_states, trace_until
from durability.targets import catalogue
from durability.targets.contract import Call, Tear
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.records import Kill, Open, Output, Rename, Sync, Write
from durability.trace.supervisor import Supervisor
from durability.trace.trace import Trace
from tests.durability.trace.alone import alone

CREATED = os.O_CREAT | os.O_WRONLY


def created(file: int, path: bytes) -> Open:
    return Open(1, file, path, CREATED, created=True)


def written(path: bytes, offset: int, data: bytes, *, torn: bool = False) -> Write:
    return Write(1, 1, path, offset, data, len(data) + torn, torn)


TRACE = Trace(
    [],
    [
        created(1, b"a"),
        written(b"a", PAGE_BYTES - 2, b"12345"),
        Sync(1, b"a", data_only=True),
        Output(b"ack 1\n"),
        Rename(1, b"a", b"b"),
        written(b"b", 0, b"xy", torn=True),
        Kill(7, 0, torn=True),
    ],
)


def test_states_lie_behind_changes_behind_output_and_within_writes() -> None:
    boundaries = [
        KillState(0, 0, 0, 0, "none"),
        KillState(1, 0, 0, 1, "none"),
        KillState(2, 0, 5, 0, "none"),
        KillState(4, 0, 5, 0, "none"),  # the same tree: more is promised
        KillState(5, 0, 5, 1, "none"),
    ]
    page = KillState(1, 2, 2, 0, "page")
    assert kill_states(TRACE, "none") == boundaries
    assert kill_states(TRACE, "page") == sorted([*boundaries, page])
    bytes_ = [KillState(1, cut, cut, 0, "byte") for cut in (1, 3, 4)]
    last = [KillState(5, cut, 5 + cut, 0, "byte") for cut in (1, 2)]
    assert kill_states(TRACE, "byte") == sorted([*boundaries, page, *bytes_, *last])


def test_each_state_has_the_trace_of_a_run_that_is_killed_there() -> None:
    walk = Walk(TRACE)
    for state in kill_states(TRACE, "byte"):
        trace = trace_until(TRACE, state)
        assert trace.kill() == Kill(state.offset, state.calls, torn=state.torn)
        assert trace.stream_bytes() == state.offset
        assert walk.content(state) == Content.of(trace.tree())
    assert list(trace_until(TRACE, KillState(2, 0, 5, 0, "none")).lines()) == []
    assert list(trace_until(TRACE, KillState(4, 0, 5, 0, "none")).lines()) == ["ack 1"]


def change_all_sorts(root: str) -> None:
    os.chdir(root)
    file = os.open("a", os.O_RDWR | os.O_CREAT)
    os.write(file, bytes(range(256)) * 20)
    os.mkdir("d")
    os.rename("a", "d/b")
    os.link("d/b", "c")
    os.symlink("c", "s")
    os.truncate("c", 3)
    os.pwrite(file, b"behind a hole", PAGE_BYTES - 5)
    os.posix_fallocate(file, 0, 5000)
    os.pwrite(file, b"over what is there", 1)
    os.unlink("s")
    other = os.open("o", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.writev(other, [b"one", b"two", b"three"])
    os.rename("o", "c")
    os.close(os.open("d/b", os.O_WRONLY | os.O_TRUNC))
    os.write(other, b"the end")


@pytest.mark.parametrize("tear", ["none", "page", "byte"])
def test_a_real_kill_leaves_the_state_of_its_position(tmp_path: Path, tear: Tear) -> None:
    def check() -> Counter[str]:
        supervisor = Supervisor()
        whole = tmp_path / "whole"
        whole.mkdir()
        trace = supervisor.run(Call(partial(change_all_sorts, str(whole))), str(whole)).trace
        states = [state for state in kill_states(trace, tear) if state.offset or state.calls]
        if tear == "byte":
            states = [state for state in states if state.tear != "byte" or state.offset % 97 == 0]
        walk = Walk(trace)
        seen: Counter[str] = Counter()
        for number, state in enumerate(states):
            root = tmp_path / str(number)
            root.mkdir()
            launch = Call(partial(change_all_sorts, str(root)))
            run = supervisor.run(launch, str(root), state.order())
            assert run.landed(), run.differences
            assert run.trace.kill() == Kill(state.offset, state.calls, torn=state.torn)
            content = walk.content(state)
            assert Content.of(run.trace.tree()) == content
            copy = tmp_path / f"{number}-copy"
            copy.mkdir()
            content.write_to(os.fsencode(copy))
            assert run.trace.tree().differences(os.fsencode(copy)) == []
            seen[state.tear] += 1
        return seen

    seen = alone(check)
    assert seen["none"] == 16
    assert seen["page"] == (2 if tear != "none" else 0)
    assert (seen["byte"] > 40) == (tear == "byte")


def test_the_states_of_the_built_in_node_are_those_of_its_whole_stream(tmp_path: Path) -> None:
    from durability.campaign.cycle import Plan
    from durability.recording import traced

    plan = Plan(
        target_name="reference",
        seed=0,
        mechanism="seccomp",
        tear="byte",
        directory=str(tmp_path),
        findings=str(tmp_path),
        deadline_s=30,
    )
    trace, _ = alone(lambda: traced(catalogue.find("reference"), plan))
    offsets = {state.offset for state in kill_states(trace, "byte")}
    assert offsets == set(range(trace.stream_bytes() + 1))
    between = {(state.offset, state.calls) for state in kill_states(trace, "none") if state.calls}
    assert between == set(trace.positions_between_writes())
