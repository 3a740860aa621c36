"""The ways to a state: what a kernel is made to do, and where in the run."""

import random
from collections.abc import Callable
from itertools import islice

from durability.confirmation.provocation import Provocation
from durability.confirmation.reenactment import Act, Close, Reenactment
from durability.crash.models import Model
from durability.crash.moment import CrashState
from durability.crash.plan import Plan
from durability.crash.validation.script import Burden, Commit, KernelStep, Script, WriteBack
from durability.trace.records import Rename, Sync, Write
from durability.trace.trace import Trace

PAGE = 4096


def state_of(trace: Trace, model: str, wanted: Callable[[CrashState], bool]) -> CrashState:
    """Return a state that a model permits: the one in which the least is lost."""
    found = [
        state
        for moment in Plan(Model.named(model), trace).moments()
        for state in map(moment.state, moment.legal())
        if wanted(state)
    ]
    return min(found, key=lambda state: len(state.lost))


def ways(trace: Trace, state: CrashState, count: int = 30) -> list[list[Act]]:
    provocation = Provocation(state, trace.records, Reenactment(trace).calls)
    return list(islice(provocation.ways(random.Random(1)), count))


def test_a_page_that_was_kept_is_written_back_behind_its_write_before_the_file_is_closed() -> None:
    script = Script()
    file = script.create(b"log")
    script.sync(file).append(file, b"A" * PAGE).append(file, b"B" * PAGE)
    trace = script.trace()
    state = state_of(
        trace, "ext4-ordered", lambda one: one.content.files == {b"log": bytes(PAGE) + b"B" * PAGE}
    )
    first = ways(trace, state)[0]
    assert first[-3:] == [WriteBack(file, PAGE, PAGE), Close(file), Commit()]
    begun = ways(trace, state)[1]
    assert begun[-4:-2] == [
        WriteBack(file, PAGE, PAGE, waits=False),
        WriteBack(file, 2 * PAGE - 1, 1, waits=False),
    ]


def test_of_one_write_pages_are_kept_one_by_one() -> None:
    script = Script()
    file = script.create(b"log")
    script.sync(file).append(file, b"A" * PAGE + b"B" * PAGE)
    trace = script.trace()
    kept = {b"log": bytes(PAGE) + b"B" * PAGE}
    state = state_of(trace, "ext4-ordered", lambda one: one.content.files == kept)
    by_pages = ways(trace, state)[1]
    written = [act for act in by_pages if isinstance(act, Write | WriteBack)]
    assert [(type(act), act.offset) for act in written] == [
        (Write, 0),
        (Write, PAGE),
        (WriteBack, PAGE),
    ]
    data = b"".join(act.data for act in by_pages if isinstance(act, Write))
    assert data == b"A" * PAGE + b"B" * PAGE


def test_the_log_is_committed_before_the_first_name_that_was_lost() -> None:
    script = Script()
    script.create(b"a", b"A")
    script.sync_all().rename(b"a", b"b").rename(b"b", b"c").acknowledge()
    trace = script.trace()
    state = state_of(
        trace, "xfs", lambda one: b"b" in one.content.files and one.acknowledged_bytes > 0
    )
    for acts in ways(trace, state)[:3]:
        renames = [at for at, act in enumerate(acts) if isinstance(act, Rename)]
        assert [at for at, act in enumerate(acts) if isinstance(act, Commit)] == [renames[1] - 1]


def test_the_device_is_busy_behind_the_last_write_that_was_lost() -> None:
    script = Script()
    script.create(b"meta", b"A")
    script.sync_all().create(b"new", b"B")
    script.rename(b"new", b"meta").sync_directory().acknowledge()
    trace = script.trace()
    state = state_of(
        trace,
        "ext4-ordered",
        lambda one: one.content.files == {b"meta": b"\0"} and one.acknowledged_bytes > 0,
    )
    burdened = next(acts for acts in ways(trace, state) if Burden() in acts)
    at = burdened.index(Burden())
    assert isinstance(burdened[at - 1], Write)
    assert isinstance(burdened[at + 1], Close)
    assert isinstance(burdened[at + 2], Rename)


def test_a_state_during_a_sync_is_tried_with_and_without_it() -> None:
    script = Script()
    file = script.create(b"log", b"A")
    trace = script.sync(file).trace()
    length = len(trace.records)
    state = state_of(trace, "xfs", lambda one: not one.content.files and one.cut == length)
    synced = [any(isinstance(act, Sync) for act in acts) for acts in ways(trace, state)]
    assert set(synced) == {True, False}


def test_chance_has_its_say_near_the_cut_only() -> None:
    script = Script()
    file = script.create(b"log")
    for _ in range(100):
        script.append(file, b"A" * 10)
    trace = script.trace()
    *_, moment = Plan(Model.named("xfs"), trace).moments()
    drawn = ways(trace, moment.state(0))[6::7]  # the last of each round
    for acts in drawn:
        writes = [at for at, act in enumerate(acts) if isinstance(act, Write)]
        own = [at for at, act in enumerate(acts) if isinstance(act, KernelStep)]
        assert not own or own[0] > writes[70]
    assert len({str(acts) for acts in drawn}) == len(drawn)
