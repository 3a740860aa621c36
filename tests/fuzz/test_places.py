from pathlib import Path

import pytest

from fuzz.campaign import Limits, fuzz
from fuzz.corpus import Corpus
from fuzz.places import make_places, visit
from fuzz.targets import TARGETS, load


def test_each_place_can_be_told_from_the_others() -> None:
    places = make_places(5)
    assert len({place.__code__ for place in places}) == len(set(places)) == 5
    visit(places, [0, 4, 7, -1, 2**70])


def test_a_state_leads_to_one_place() -> None:
    called: list[int] = []
    places = tuple(lambda number=number: called.append(number) for number in range(3))
    visit(places, [0, 4, 4, -1])
    assert called == [0, 1, 1, 2]


def test_schedules_reach_more_places_than_the_code_has_branches(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    assert load("node_steps").places
    seeds = Corpus.find().directories("node_steps")
    few = fuzz("node_steps", "struct", Limits(executions=60), 7, seeds, grow=tmp_path / "few")
    many = fuzz("node_steps", "struct", Limits(executions=600), 7, seeds, grow=tmp_path / "many")
    assert TARGETS["node_steps"].coverage_floor < few.coverage < many.coverage
