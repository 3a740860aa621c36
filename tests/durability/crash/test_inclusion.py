"""What a stronger model permits, a weaker one permits too, of random runs."""

import pytest
from hypothesis import given, settings

from durability.crash.models import Model
from durability.crash.plan import Plan
from durability.trace.trace import Trace
from tests.durability.crash.runs import runs, states

STATES_MAX = 25

ORDER = (
    ("prefix", "ext4-datajournal"),
    ("ext4-datajournal", "ext4-dioread_lock"),
    ("ext4-dioread_lock", "ext4-ordered"),
    ("ext4-ordered", "ext4-noauto-da-alloc"),
    ("ext4-noauto-da-alloc", "ext4-writeback"),
    ("ext4-writeback", "posix-default"),
    ("prefix", "xfs"),
    ("prefix", "btrfs"),
    ("xfs", "posix-default"),
    ("btrfs", "posix-default"),
    ("lost-unsynced", "posix-default"),
    ("lost-unsynced-names", "posix-default"),
    ("posix-default", "posix-strict"),
    ("posix-strict", "alice-2014"),
)


@pytest.mark.parametrize(("stronger", "weaker"), ORDER)
@settings(max_examples=40, deadline=None)
@given(trace=runs(records_max=8))
def test_a_weaker_model_permits_what_a_stronger_one_does(
    stronger: str, weaker: str, trace: Trace
) -> None:
    weak = Plan(Model.named(weaker), trace)
    for state in states(Model.named(stronger), trace, limit=STATES_MAX):
        assert weak.explain(state.content, state.acknowledged_bytes) is not None, state


@pytest.mark.parametrize("name", ["ext4-ordered", "xfs", "posix-default"])
@settings(max_examples=20, deadline=None)
@given(trace=runs(records_max=8))
def test_a_disk_that_tears_pages_leaves_more(name: str, trace: Trace) -> None:
    model = Model.named(name)
    torn = Plan(model.torn(), trace)
    for state in states(model, trace, limit=STATES_MAX):
        assert torn.explain(state.content, state.acknowledged_bytes) is not None, state
