from collections.abc import Callable, Mapping
from typing import Any

import pytest

from durability.report.result import Result
from durability.report.wording import conclusion, visible
from tests.durability.report.results import (
    UNPRINTABLE,
    figures,
    held,
    inconclusive,
    known,
    lost,
    recovery_failed,
    untested,
    violated,
)

VERDICTS = {
    held: "HELD: 200 kills landed, every acknowledged item was there after each.",
    violated: "VIOLATION: 1 guarantee was broken (lost).",
    inconclusive: (
        "INCONCLUSIVE: no violation was found, but the run shows too little to say that there is"
        " none."
    ),
    known: "HELD: nothing was found but what is known (recovery-failed).",
    untested: "INCONCLUSIVE: nothing could be tested.",
}


@pytest.mark.parametrize(("result", "sentence"), VERDICTS.items())
def test_the_verdict_is_one_sentence(result: Callable[[], Result], sentence: str) -> None:
    assert conclusion(result()) == sentence


def test_one_kill_is_not_many() -> None:
    result = Result("crash", figures=figures(landed=1))
    sentence = "HELD: 1 kill landed, every acknowledged item was there after it."
    assert conclusion(result) == sentence


def test_a_guarantee_that_is_broken_twice_is_one_guarantee() -> None:
    result = Result("audit", violations=[lost(), recovery_failed(), lost()])
    assert conclusion(result) == "VIOLATION: 2 guarantees were broken (lost, recovery-failed)."


CUTS = (
    "12 states that a power cut may leave of one run (xfs) were recovered, every acknowledged item"
    " was there in each"
)


@pytest.mark.parametrize(
    ("command", "of", "sentence"),
    [
        ("audit", {"directories": []}, "what each of the directories holds is whole and agrees"),
        ("replay", {"cases": 3}, "3 cases replayed, without a violation"),
        ("trace", {"operations": 1234}, "1,234 operations recorded"),
        ("targets", {"targets": []}, "the targets known by name are listed"),
        ("doctor", {"checks": []}, "this machine can do all that the commands need"),
        (
            "powerloss",
            {"explored": 12, "models": {"xfs": {}}},
            CUTS,
        ),
        (
            "powerloss",
            {"explored": 12, "models": {"xfs": {}}, "first_crash": "kill"},
            CUTS.replace("one run", "recoveries of what a kill had left"),
        ),
        ("lint", {"acks": 2}, "2 acknowledgements, all of them waited"),
        (
            "disk",
            {"faults": {"write-eio": {"fired": 1}, "disk-full": {"fired": 2}}},
            "3 faults of the disk met, nothing that was acknowledged was lost by any",
        ),
        ("mutants", {"found": 14, "total": 14}, "14 of 14 planted defects found"),
        (
            "mutants",
            {"found": 0, "total": 0, "mechanical": {"killed": 95, "total": 99}},
            "95 of 99 mechanical mutants noticed",
        ),
        (
            "mutants",
            {"found": 3, "total": 4, "mechanical": {"killed": 5, "total": 6}},
            "3 of 4 planted defects found, 5 of 6 mechanical mutants noticed",
        ),
        ("a command to come", {}, "no violation was found"),
    ],
)
def test_every_command_says_what_held(command: str, of: Mapping[str, Any], sentence: str) -> None:
    assert conclusion(Result(command, figures=of)) == f"HELD: {sentence}."


def test_a_machine_that_cannot_is_told_so() -> None:
    result = Result("doctor", figures={"checks": []}, reasons=["exact kill: refused"])
    assert conclusion(result).endswith("this machine cannot do all that the commands need.")


def test_what_has_no_picture_is_shown_as_its_escape() -> None:
    shown = r"\x00\x07\x0b\x1b\x7f\x85\u202e\u2028\ufffe\ud800"
    assert visible(UNPRINTABLE) == shown
    assert visible("\t\r") == r"\t\r"


def test_text_stays_as_it_is() -> None:
    text = "Zürich 東京 ✓ C:\\store 'k18'\n  second line"
    assert visible(text) == text
