"""The planted defects are where they are said to be, and the fuzzing notices them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from durability.errors import UsageError
from durability.mutants.edited import edit, edited_package, source
from fuzz.campaign import Limits, Run
from fuzz.corpus import Corpus
from fuzz.mutants.hunt import hunt
from fuzz.mutants.planted import PLANTED, PlantedDefect
from fuzz.report import Found
from fuzz.targets import TARGETS

CORPUS = Corpus.find()
BY_NAME = {defect.name: defect for defect in PLANTED}


@pytest.mark.parametrize("defect", PLANTED, ids=lambda defect: defect.name)
def test_a_defect_is_one_edit_of_the_source(defect: PlantedDefect) -> None:
    compile(edit(defect.path, defect.old, defect.new), defect.path, "exec")
    assert defect.target in TARGETS


def test_there_are_enough_of_them_and_each_has_its_name() -> None:
    assert len(BY_NAME) == len(PLANTED) >= 24
    assert {defect.catalogue for defect in PLANTED} >= {"D15", "D20", "D30", "D31", "D32", "D44"}


def test_a_source_that_has_moved_on_is_told_from_one_without_a_defect() -> None:
    with pytest.raises(UsageError, match="one is needed"):
        edit("raft/peer.py", "no such line", "")


def test_the_copy_is_edited_and_the_source_is_not() -> None:
    before = source("raft/peer.py")
    with edited_package("raft/peer.py", "edited = True\n") as root:
        assert (root / "raft" / "peer.py").read_text() == "edited = True\n"
        assert (root / "raft" / "message.py").read_text() == source("raft/message.py")
    assert source("raft/peer.py") == before


def test_the_corpus_alone_finds_a_defect() -> None:
    found = hunt(BY_NAME["unicode-error"], CORPUS, 1, compare=False)
    assert found.found
    assert list(found.techniques) == ["replay"]
    assert "UnicodeDecodeError" in found.message


def test_mutation_finds_what_the_corpus_does_not_and_random_inputs_find_nothing() -> None:
    pytest.importorskip("atheris")
    found = hunt(BY_NAME["role-index-error"], CORPUS, 1, compare=True)
    assert found.techniques["struct"] > 0
    assert found.techniques["default"] > 0
    assert found.compared["random"] == 0
    assert found.compared["hypothesis"] > 0


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    pytest.importorskip("atheris")
    line = "        if success > 1:\n"
    harmless = PlantedDefect(
        "harmless", "message", "raft/message.py", line, f"{line}            pass\n"
    )
    found = hunt(harmless, CORPUS, 1, compare=True, executions={"struct": 2000, "default": 5000})
    assert not found.found
    assert set(found.techniques.values()) | set(found.compared.values()) == {0}


def test_a_defect_that_makes_no_program_is_not_found_and_says_so() -> None:
    pytest.importorskip("atheris")
    first = "import struct\n"
    broken = PlantedDefect("broken", "message", "raft/message.py", first, f"{first}raise OSError\n")
    done = hunt(broken, CORPUS, 1, compare=True)
    assert not done.found
    assert done.unfinished.keys() == {"replay", "struct", "default", "random", "hypothesis"}
    assert all("OSError" in why for why in done.unfinished.values())


def test_what_fuzzing_finds_in_the_unedited_package_too_is_no_find(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    defect = BY_NAME["relation-of-two-fields"]
    controls: list[int | None] = []

    def fuzz_with(breaks: Callable[[str], bool]) -> Callable[..., Run]:
        def fuzz(
            target: str, mutator: str, limits: Limits, *_: object, package_root: Path, **__: object
        ) -> Run:
            del mutator
            content = (package_root / defect.path).read_text()
            if content == source(defect.path):
                controls.append(limits.executions)
            found = [Found(7, "OSError", "place", "text", b"")] if breaks(content) else []
            return Run(target, 7, findings=found)

        return fuzz

    monkeypatch.setattr("fuzz.mutants.hunt.fuzz", fuzz_with(lambda content: defect.new in content))
    done = hunt(defect, CORPUS, 1, compare=False)
    assert (done.techniques, done.unfinished) == ({"replay": 0, "struct": 7}, {})
    assert controls == [7]
    monkeypatch.setattr("fuzz.mutants.hunt.fuzz", fuzz_with(lambda _: True))
    done = hunt(defect, CORPUS, 1, compare=False)
    assert not done.found
    assert done.unfinished == dict.fromkeys(
        ("struct", "default"), "it breaks a law as it is, unchanged: text"
    )
