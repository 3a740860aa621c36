"""The number of states: that of the states themselves where they are few, and right where not."""

import pytest
from hypothesis import given, settings

from durability.crash.counting import StateCount
from durability.crash.models import MODELS, Model
from durability.crash.plan import Plan
from durability.crash.validation.script import Script
from durability.trace.kill_order import PAGE_BYTES
from durability.trace.trace import Trace
from tests.durability.crash.runs import runs, states

STATES_MAX = 3000
PAGES = 40


def digests(model: Model, trace: Trace) -> set[bytes]:
    return {state.digest for state in states(model, trace, limit=STATES_MAX, exhaustive=True)}


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=30, deadline=None)
@given(trace=runs(records_max=8))
def test_states_are_as_many_as_there_are(name: str, trace: Trace) -> None:
    model = Model.named(name)
    found = digests(model, trace)
    count, is_lower_bound = Plan(model, trace).count()
    if len(found) < STATES_MAX:
        assert count == len(found) or (is_lower_bound and count <= len(found))
    else:
        assert count >= len(found) or is_lower_bound


@settings(max_examples=30, deadline=None)
@given(trace=runs(records_max=8))
def test_a_lower_bound_is_no_more_than_there_are(trace: Trace) -> None:
    model = Model.named("ext4-ordered")
    found = digests(model, trace)
    for boxes_max in (0, 1, 5, 20):
        count = StateCount(boxes_max)
        for moment in Plan(model, trace).moments():
            count.add(moment)
        assert count.total() <= len(found)
        assert count.is_lower_bound or count.total() == len(found)


def test_pages_of_one_file_are_counted_without_a_look_at_each_set() -> None:
    script = Script()
    file = script.create(b"log", b"A" * PAGES * PAGE_BYTES)
    script.sync_all()
    for page in range(PAGES):
        script.write(file, page * PAGE_BYTES, b"B" * PAGE_BYTES)
    created = 1 + 2 * PAGES
    assert Plan(Model.named("ext4-ordered"), script.trace()).count() != (created, True)
    overwritten = Script()
    file = overwritten.create(b"log", b"A" * PAGES * PAGE_BYTES)
    before = Plan(Model.named("prefix"), overwritten.sync_all().trace()).count()
    assert before == (2 + PAGES, False)
