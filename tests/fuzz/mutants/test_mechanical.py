"""What is changed by rule, and that the inputs tell it from the original."""

import pytest

from fuzz.corpus import Corpus
from fuzz.mutants import mechanical
from fuzz.mutants.mechanical import SUBJECTS, mutants
from fuzz.mutants.survival import EQUIVALENT, Fate, figures, seal_fate, wrongly_excused
from fuzz.targets import TARGETS

CORPUS = Corpus.find()
BY_NAME = {mutant.name: mutant for module in SUBJECTS for mutant in mutants(module)}

SOURCE = """
LIMIT = 7
TABLE = {"size": (1, LIMIT)}


def decode(data: bytes) -> int:
    if len(data) < 3 or not data:
        raise ValueError(f"{1 + 1} bytes")
    assert data[0] > 4
    return data[0]


class Thing:
    def encode(self) -> bytes:
        return b"" if self == 5 else b"1"

    def is_small(self) -> bool:
        return self.size <= LIMIT
"""


def test_every_comparison_bound_and_check_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanical, "source", lambda _: SOURCE)
    assert [mutant.name for mutant in mutants("m")] == [
        "m.LIMIT: 7 -> 6",
        "m.LIMIT: 7 -> 8",
        "m.TABLE['size']: (1, LIMIT) -> (0, LIMIT)",
        "m.TABLE['size']: (1, LIMIT) -> (2, LIMIT)",
        "m.decode: len(data) < 3 or not data dropped",
        "m.decode: len(data) < 3 dropped",
        "m.decode: not data dropped",
        "m.decode: len(data) < 3 -> len(data) <= 3",
        "m.decode: len(data) < 3 -> len(data) < 4",
        "m.decode: data[0] -> data[1]",
        "m.Thing.is_small: self.size <= LIMIT -> self.size < LIMIT",
    ]


def test_a_mutant_is_what_its_name_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanical, "source", lambda _: SOURCE)
    found = {mutant.name: mutant.changed.code for mutant in mutants("m")}
    names: dict[str, object] = {}
    exec(found["m.decode: len(data) < 3 dropped"], names)
    decode = names["decode"]
    assert callable(decode)
    assert decode(b"\5") == 5
    with pytest.raises(ValueError, match="2 bytes"):
        decode(b"")
    exec(found["m.LIMIT: 7 -> 8"], names)
    assert names["TABLE"] == {"size": (1, 8)}


def test_there_are_hundreds_and_each_has_its_name() -> None:
    assert len(BY_NAME) == sum(len(list(mutants(module))) for module in SUBJECTS) > 300
    assert {target for targets in SUBJECTS.values() for target in targets} < set(TARGETS)


def test_those_called_equivalent_exist() -> None:
    assert EQUIVALENT.keys() <= BY_NAME.keys()
    assert all(EQUIVALENT.values())


@pytest.mark.parametrize("name", EQUIVALENT)
def test_those_called_equivalent_are_told_from_the_original_by_no_input(name: str) -> None:
    assert seal_fate(BY_NAME[name], CORPUS, 1).killed_by == ""


@pytest.mark.parametrize("module", SUBJECTS)
def test_most_mutants_of_every_module_are_noticed(module: str) -> None:
    some = [mutant for mutant in mutants(module) if mutant.name not in EQUIVALENT][2::7][:4]
    killed_by = [seal_fate(mutant, CORPUS, 1).killed_by for mutant in some]
    assert killed_by.count("") <= 1
    assert set(killed_by) <= {"", *SUBJECTS[module]}


def test_survivors_count_and_the_equivalent_do_not() -> None:
    excused = next(iter(EQUIVALENT))
    fates = [Fate("a", "peer"), Fate("b", ""), Fate("c", "peer"), Fate(excused, "")]
    found = figures(fates)
    assert (found["total"], found["killed"], found["killed_percent"]) == (3, 2, 66.7)
    assert found["survived"] == ["b"]
    assert wrongly_excused(fates) == []
    assert wrongly_excused([Fate(excused, "peer")]) == [excused]
    assert figures([])["killed_percent"] == 0


def test_what_cannot_be_tried_is_not_counted_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fates = [Fate("a", "peer"), Fate("b", "", unfinished="it cannot be imported")]
    found = figures(fates)
    assert (found["total"], found["killed"], found["survived"]) == (1, 1, [])
    assert found["unfinished"] == ["b: it cannot be imported"]
    monkeypatch.setattr(mechanical, "source", lambda _: "LIMIT = 7\n")
    mutant = next(iter(mutants("raft.peer")))
    fate = seal_fate(mutant, CORPUS, 1)
    assert fate.killed_by == ""
    assert "cannot be imported" in fate.unfinished
