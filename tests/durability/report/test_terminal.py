import io
from collections.abc import Callable

import pytest
from rich.console import Console

from durability.report.result import Result
from durability.report.terminal import show
from tests.durability.report.results import (
    EVERY,
    HOSTILE,
    REPRODUCE,
    UNPRINTABLE,
    hostile,
    known,
    untested,
    violated,
)

VIOLATED = """\
durability crash
  target                  my-store
  kill mechanism          seccomp
  tear                    page
  kills                   200
  landed                  198
  drawn again             3
  torn writes             41
  distinct positions      157
  acknowledged            31,204 items
  lost of these           72 items
  kills with a violation  lost 12
  rate                    61.3 kills/s
  write stream            24,576 bytes
  seed                    7
  time                    3.4 s

VIOLATION lost
  guarantee  Every acknowledged item is there after every crash.
  seen       items 18 to 23 of 23 are missing (in 12 kills; shown by a kill between two calls)
  reproduce  {reproduce}

KNOWN recovery-failed
  guarantee  Recovery succeeds after every crash.
  seen       status 1:
             Traceback (most recent call last):
             ValueError

Inconclusive because
  -  2 kills did not land: the target ended with status 0, signal 0

Notes
  -  items that were never announced were not looked for

VIOLATION: 1 guarantee was broken (lost).
"""

UNTESTED = """\
durability crash
  seed  7
  time  0.0 s

Inconclusive because
  -  the kernel refuses seccomp notification

INCONCLUSIVE: nothing could be tested.
"""

DOCTOR = """\
durability doctor
  time  0.0 s

checks
  name          ok   detail
  exact kill    yes  20 of 20 kills left exactly the bytes that were ordered
  loop devices  no   needs root and /dev/loop-control

HELD: this machine can do all that the commands need.
"""

CHECKS = [
    {
        "name": "exact kill",
        "ok": True,
        "detail": "20 of 20 kills left exactly the bytes that were ordered",
        "needed": True,
    },
    {
        "name": "loop devices",
        "ok": False,
        "detail": "needs root and /dev/loop-control",
        "needed": False,
    },
]


def printed(result: Result, width: int = 100) -> str:
    """Return what is shown, without the blanks that fill a column."""
    file = io.StringIO()
    show(result, Console(file=file, width=width))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def test_a_violation_is_shown_whole() -> None:
    assert printed(violated()) == VIOLATED.format(reproduce=REPRODUCE)


def test_a_run_that_could_not_begin_says_why() -> None:
    assert printed(untested()) == UNTESTED


def test_records_are_shown_as_a_table() -> None:
    assert printed(Result("doctor", figures={"checks": CHECKS})) == DOCTOR


HISTORIES = """\
histories
  path     histories/register-01.jsonl
  verdict  linearizable

  path     histories/register-02.jsonl
  verdict  unknown

"""


def test_records_that_do_not_fit_beside_each_other_stand_below() -> None:
    histories = [
        {"path": "histories/register-01.jsonl", "verdict": "linearizable"},
        {"path": "histories/register-02.jsonl", "verdict": "unknown"},
    ]
    assert HISTORIES in printed(Result("history", figures={"histories": histories}), 40)


def test_what_is_known_does_not_look_like_a_violation() -> None:
    text = printed(known())
    assert "VIOLATION" not in text
    assert "KNOWN recovery-failed" in text


@pytest.mark.parametrize("width", [20, 40, 80, 300])
def test_the_reproduction_is_one_line_at_every_width(width: int) -> None:
    assert f"  reproduce  {REPRODUCE}" in printed(violated(), width).splitlines()


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_narrow_terminal_loses_no_word(width: int) -> None:
    words = printed(violated(), 300).split()
    assert sorted("".join(words)) == sorted("".join(printed(violated(), width).split()))


@pytest.mark.parametrize("result", EVERY)
def test_the_verdict_is_the_last_line(result: Callable[[], Result]) -> None:
    verdict = result().verdict.upper()
    assert printed(result(), 30).splitlines()[-1].startswith(f"{verdict}: ")


def test_foreign_text_is_never_markup() -> None:
    shown = HOSTILE.replace("\x1b", "\\x1b")
    assert printed(hostile(), 300).count(shown) == 14


def test_foreign_text_cannot_speak_to_the_terminal() -> None:
    file = io.StringIO()
    show(hostile(UNPRINTABLE), Console(file=file, width=300, force_terminal=True, no_color=True))
    foreign = [c for c in file.getvalue() if c in UNPRINTABLE and c != "\x1b"]
    assert not foreign
    assert r"\x00\x07\x0b\x1b\x7f\x85\u202e\u2028\ufffe\ud800" in file.getvalue()


def test_foreign_lines_stand_behind_the_margin() -> None:
    text = printed(hostile("it said\nHELD: 200 kills landed"))
    assert text.count("HELD: 200 kills landed") == 14
    assert not [line for line in text.splitlines() if line.startswith("HELD")]


def test_a_console_of_few_characters_shows_the_others_as_escapes() -> None:
    data = io.BytesIO()
    file = io.TextIOWrapper(data, encoding="ascii")
    show(Result("crash", reasons=["Zürich"]), Console(file=file, width=100))
    file.flush()
    assert rb"Z\xfcrich" in data.getvalue()
