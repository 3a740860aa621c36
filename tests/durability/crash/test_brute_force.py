"""The states of a plan are those of the definition, of every model that the brute force knows."""

import pytest
from hypothesis import assume, given, settings

from durability.crash.models import Model
from durability.crash.moment import CrashState
from durability.crash.validation.script import Script
from durability.trace.trace import Trace
from tests.durability.crash.brute_force import MODELS, BruteForce, State
from tests.durability.crash.runs import small_runs, states

OPERATIONS_MAX = 13


def planned(model: str, trace: Trace) -> set[State]:
    drawn = states(Model.named(model), trace, exhaustive=True)
    return {by_definition(state) for state in drawn}


def by_definition(state: CrashState) -> State:
    return state.acknowledged_bytes, frozenset(state.content.files.items())


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=40, deadline=None)
@given(script=small_runs())
def test_every_state_by_the_definition_and_no_other(model: str, script: Script) -> None:
    trace = script.trace()
    slow = BruteForce(model, OPERATIONS_MAX)
    assume(slow.run(trace.records))
    assert planned(model, trace) == slow.states
