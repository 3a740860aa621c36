"""The number of states: that of the states themselves where they are few, and right where not."""

from itertools import islice

import pytest
from hypothesis import assume, given, settings

from durability.crash.counting import COUNT_MAX, StateCount
from durability.crash.models import MODELS, Model
from durability.crash.plan import Plan
from durability.crash.validation.script import Script
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.records import Write
from durability.trace.trace import Trace
from tests.durability.crash.runs import runs

SETS_MAX = 2000
PAGES = 40
INSERT_RANGE = 0x20


def looked_at(model: Model, trace: Trace) -> int | None:
    """Return how many contents there are, by a look at each set; None for too many sets."""
    digests = (
        moment.digest(kept) for moment in Plan(model, trace).moments() for kept in moment.legal()
    )
    found = set(islice(digests, SETS_MAX))
    return len(found) if next(digests, None) is None else None


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=30, deadline=None)
@given(trace=runs(records_max=8))
def test_as_many_states_are_counted_as_there_are(name: str, trace: Trace) -> None:
    model = Model.named(name)
    found = looked_at(model, trace)
    assume(found is not None)
    assert Plan(model, trace).count() == (found, False)


@pytest.mark.parametrize("name", ["ext4-ordered-torn-512", "xfs-torn-1024"])
@settings(max_examples=30, deadline=None)
@given(trace=runs(records_max=8))
def test_of_torn_pages_there_is_no_count_that_is_wrong(name: str, trace: Trace) -> None:
    model = Model.named(name)
    found = looked_at(model, trace)
    assume(found is not None)
    assert found is not None
    count, is_lower_bound = Plan(model, trace).count()
    assert count == found or (is_lower_bound and count < found)


@settings(max_examples=30, deadline=None)
@given(trace=runs(records_max=8))
def test_a_lower_bound_is_no_more_than_there_are(trace: Trace) -> None:
    model = Model.named("ext4-ordered")
    found = looked_at(model, trace)
    assume(found is not None)
    assert found is not None
    for work_max in (0, 1, 10, 100):
        count = StateCount(model, work_max)
        for moment in Plan(model, trace).moments():
            count.add(moment)
        total = count.total()
        assert total == found or (count.is_lower_bound and total < found)


def overwritten() -> Script:
    script = Script()
    file = script.create(b"log", b"A" * PAGES * PAGE_BYTES)
    script.sync_all()
    for page in range(PAGES):
        script.write(file, page * PAGE_BYTES, b"B" * PAGE_BYTES)
    return script


def counted(script: Script, model: str) -> tuple[int, bool]:
    trace = script.trace()
    written = sum(len(record.data) for record in trace.records if isinstance(record, Write))
    assert written == 2 * PAGES * PAGE_BYTES
    return Plan(Model.named(model), trace).count()


def test_pages_are_counted_without_a_look_at_each_set_of_them() -> None:
    # The name or none; each length, with any of its pages; then each page old or new.
    growing = 1 + sum(2**length for length in range(PAGES + 1))
    assert counted(overwritten(), "ext4-ordered") == (growing + 2**PAGES - 1, False)


def test_pages_that_reach_the_disk_in_order_are_counted_one_by_one() -> None:
    assert counted(overwritten(), "prefix") == (1 + 1 + 2 * PAGES, False)


def test_contents_that_two_syncs_leave_in_common_are_counted_once() -> None:
    script = overwritten()
    script.sync_all()
    assert counted(script, "ext4-ordered") == counted(overwritten(), "ext4-ordered")


def test_too_much_work_gives_a_lower_bound_that_says_so() -> None:
    script = Script()
    for number in range(PAGES):
        script.create(b"%d" % number)
    count, is_lower_bound = Plan(Model.named("posix-default"), script.trace()).count()
    assert is_lower_bound
    assert 100 < count < 2**PAGES


def test_of_a_file_that_was_never_synced_more_are_counted_than_are_ever_looked_at() -> None:
    script = Script()
    file = script.create(b"log")
    for _ in range(2000):
        script.append(file, b"A" * PAGE_BYTES)
    assert Plan(Model.named("xfs"), script.trace()).count() == (COUNT_MAX, True)


@pytest.mark.parametrize("name", MODELS)
def test_data_that_a_shift_moves_is_counted_where_it_comes_to(name: str) -> None:
    script = Script()
    file = script.create(b"log", b"A" * 8300)
    script.write(file, 4200, b"B" * 100)
    script.write(file, 4300, b"C" * 100)
    script.allocate(file, PAGE_BYTES, PAGE_BYTES, INSERT_RANGE)
    steps = script.trace().records
    trace = Trace(steps[:2], steps[2:])
    model = Model.named(name)
    found = looked_at(model, trace)
    assert found is not None
    assert Plan(model, trace).count() == (found, False)
