"""Planted defects are found, each under its models and under no other.

`durability mutants` looks for all of them; here are the quickest of each kind.
"""

import pytest

from durability.errors import UsageError
from durability.mutants.edited import edit
from durability.mutants.hunt import hunt
from durability.mutants.planted import FAULTS_LOOKED_AT, LOOKED_UNDER, PLANTED, PlantedDefect

BY_ID = {defect.id: defect for defect in PLANTED}


@pytest.mark.parametrize("defect", PLANTED, ids=lambda defect: defect.id)
def test_each_fits_the_source_and_is_expected_somewhere(defect: PlantedDefect) -> None:
    assert edit(defect.path, defect.old, defect.new) != ""
    assert defect.shows
    assert defect.shows <= {*LOOKED_UNDER, *FAULTS_LOOKED_AT}


def test_each_has_its_own_id() -> None:
    assert len(BY_ID) == len(PLANTED)


def test_an_edit_that_fits_nowhere_is_refused() -> None:
    with pytest.raises(UsageError, match="0 places like"):
        edit("raft/log.py", "there is no such line", "")


@pytest.mark.parametrize("name", ["D04", "D06", "D16", "D28", "D43", "D44", "D46"])
def test_one_is_found_under_its_models_and_no_other(name: str) -> None:
    found = hunt(BY_ID[name], seed=1)
    assert found.found, found.message
    assert set(found.shown) == BY_ID[name].shows
    assert found.events > 100
