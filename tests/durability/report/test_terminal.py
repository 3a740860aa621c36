import io
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from durability.report import terminal
from durability.report.result import Result
from durability.report.terminal import CrashProgress, show
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


def advance(progress: CrashProgress, **changed: Any) -> None:
    cycle = {"landed": True, "torn": False, "acknowledged": 100, "violating": False, **changed}
    progress(**cycle)


def test_progress_counts_what_the_cycles_found() -> None:
    file = io.StringIO()
    console = Console(file=file, width=120, force_terminal=True, no_color=True)
    with CrashProgress(20, console) as progress:
        for _ in range(10):
            advance(progress, acknowledged=150)
        advance(progress, torn=True, violating=True)
        advance(progress, landed=False, acknowledged=0)
    shown = file.getvalue()
    assert "12/20" in shown
    assert "11 landed, 1 torn, 1,600 acknowledged, 1 violating" in shown


def test_progress_is_a_line_every_ten_seconds_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times_s = iter([1000.0, 1000.0, 1009.9, 1010.0, 1019.9, 1020.0])
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(times_s))
    file = io.StringIO()
    with CrashProgress(2000, Console(file=file)) as progress:
        for _ in range(5):
            advance(progress, torn=True)
    assert file.getvalue() == (
        "3 of 2,000 kills: 3 landed, 3 torn, 300 acknowledged, 0 violating, 0 kills/s\n"
        "5 of 2,000 kills: 5 landed, 5 torn, 500 acknowledged, 0 violating, 0 kills/s\n"
    )


class Unheard(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(text)


def test_progress_goes_on_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "_LINE_INTERVAL_S", 0.0)
    with CrashProgress(2, Console(file=Unheard())) as progress:
        advance(progress)


def test_a_worker_forked_meanwhile_finds_no_thread_and_its_own_output() -> None:
    threads, output, errors = threading.active_count(), sys.stdout, sys.stderr
    console = Console(file=io.StringIO(), force_terminal=True)
    with CrashProgress(2, console) as progress:
        advance(progress)
        assert threading.active_count() == threads
        assert (sys.stdout, sys.stderr) == (output, errors)


def test_progress_leaves_the_cursor_as_it_was_after_an_error() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True)
    with pytest.raises(KeyboardInterrupt), CrashProgress(2, console):
        raise KeyboardInterrupt
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert file.getvalue().rindex(shown) > file.getvalue().rindex(hidden)
