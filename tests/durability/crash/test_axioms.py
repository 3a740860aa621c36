"""Each fact about power cuts: the models that permit the harm are exactly those it names."""

import pytest

from durability.crash.content import Content
from durability.crash.models import MODELS
from durability.crash.plan import Plan
from durability.crash.validation.axioms import AXIOMS, Axiom
from tests.durability.crash.runs import states

STATES_MAX = 3000


def harms(axiom: Axiom, model: str) -> list[Content]:
    script = axiom.script().acknowledge()
    drawn = states(MODELS[model], script.trace(), limit=STATES_MAX, exhaustive=True)
    return [
        state.content
        for state in drawn
        if state.acknowledged_bytes and axiom.is_shown(state.content)
    ]


@pytest.mark.parametrize("axiom", AXIOMS, ids=lambda axiom: axiom.name)
@pytest.mark.parametrize("model", [name for name in MODELS if MODELS[name].unit_bytes == 4096])
def test_the_harm_is_permitted_where_it_is_shown(axiom: Axiom, model: str) -> None:
    assert bool(harms(axiom, model)) == (model in axiom.shown_by)


@pytest.mark.parametrize("axiom", AXIOMS, ids=lambda axiom: axiom.name)
@pytest.mark.parametrize("model", ["posix-strict", "alice-2014"])
def test_what_posix_permits_is_permitted_by_the_letter(axiom: Axiom, model: str) -> None:
    script = axiom.script().acknowledge()
    plan = Plan(MODELS[model], script.trace())
    for content in harms(axiom, "posix-default"):
        assert plan.explain(content, len(b"done\n")) is not None
    assert (model in axiom.shown_by) == ("posix-default" in axiom.shown_by)
