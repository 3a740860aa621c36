"""Each property's controls: a sequence that keeps it, and one that differs and breaks it."""

import pytest

from durability.invariants.events import Applied, Stopped
from durability.invariants.observer import Observer, all_properties
from durability.invariants.sometimes import SITUATIONS, Sometimes
from tests.durability.invariants.control import judge
from tests.durability.invariants.disk_controls import DISK_CONTROLS
from tests.durability.invariants.election_controls import ELECTION_CONTROLS
from tests.durability.invariants.group_controls import GROUP_CONTROLS
from tests.durability.invariants.log_controls import LOG_CONTROLS
from tests.durability.invariants.sequences import (
    FOUNDATION,
    command,
    committed_by_first_leader,
    leads,
    started,
)

CONTROLS = {**ELECTION_CONTROLS, **LOG_CONTROLS, **DISK_CONTROLS, **GROUP_CONTROLS}


@pytest.mark.parametrize("name", CONTROLS)
def test_the_good_sequence_is_silent(name: str) -> None:
    control = CONTROLS[name]
    observer = judge(control.make, [*control.before, *control.good])
    assert observer.violations == []
    assert observer.checks > 0


@pytest.mark.parametrize("name", CONTROLS)
def test_the_bad_sequence_breaks_it_with_its_last_event(name: str) -> None:
    control = CONTROLS[name]
    assert judge(control.make, [*control.before, *control.bad[:-1]]).violations == []
    (violation,) = judge(control.make, [*control.before, *control.bad]).violations
    assert violation.kind == name.split(maxsplit=1)[0] == control.make().id
    assert violation.invariant == control.make().guarantee
    assert violation.message


def test_every_property_that_can_break_has_a_control() -> None:
    ids = {each.id for each in all_properties(10, 20)}
    assert {name.split(maxsplit=1)[0] for name in CONTROLS} == ids
    assert ids | {Sometimes.id} == {f"P{number}" for number in range(1, 24)}


def test_p17_says_what_a_campaign_did_not_exercise() -> None:
    sometimes = Sometimes()
    observer = Observer([sometimes])
    assert sometimes.missing() == list(SITUATIONS)
    for event in (*committed_by_first_leader(), Applied(1, 2, b""), Stopped(1)):
        observer.observe(event)
    assert "election" not in sometimes.missing()
    assert {"re-election", "restart", "snapshot taken"} <= set(sometimes.missing())
    for event in (started(1, FOUNDATION, command(2, 2), term=2), *leads(2, 3)):
        observer.observe(event)
    assert not {"re-election", "restart"} & set(sometimes.missing())
