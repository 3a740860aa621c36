"""Progress: what is counted, how often it is told, and that it disturbs nobody."""

import io
import sys
import threading
from typing import Any

import pytest
from rich.console import Console

from durability.report import progress as reporting
from durability.report.progress import CampaignProgress


def advance(progress: CampaignProgress, **changed: Any) -> None:
    cycle = {"landed": True, "torn": False, "acknowledged": 100, "violating": False, **changed}
    progress(1, **cycle)


def test_progress_counts_what_the_cycles_found() -> None:
    file = io.StringIO()
    console = Console(file=file, width=120, force_terminal=True, no_color=True)
    with CampaignProgress("kills", 20, console) as progress:
        for _ in range(10):
            advance(progress, acknowledged=150)
        advance(progress, torn=True, violating=True)
        advance(progress, landed=False, acknowledged=0)
    shown = file.getvalue()
    assert "12/20" in shown
    assert "11 landed, 1 torn, 1,600 acknowledged, 1 violating" in shown


def test_many_are_counted_at_a_time_and_how_many_there_will_be_need_not_be_known() -> None:
    file = io.StringIO()
    console = Console(file=file, width=120, force_terminal=True, no_color=True)
    with CampaignProgress("states", None, console) as progress:
        for _ in range(2):
            progress(256, promised=200, pruned=56, violating=0)
    assert "400 promised, 112 pruned, 0 violating" in file.getvalue()
    assert "states/s" in file.getvalue()


def test_progress_is_a_line_every_ten_seconds_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times_s = iter([1000.0, 1000.0, 1009.9, 1010.0, 1019.9, 1020.0])
    monkeypatch.setattr(reporting.time, "monotonic", lambda: next(times_s))
    file = io.StringIO()
    with CampaignProgress("kills", 2000, Console(file=file)) as progress:
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
    monkeypatch.setattr(reporting, "_LINE_INTERVAL_S", 0.0)
    with CampaignProgress("kills", 2, Console(file=Unheard())) as progress:
        advance(progress)


def test_a_worker_forked_meanwhile_finds_no_thread_and_its_own_output() -> None:
    threads, output, errors = threading.active_count(), sys.stdout, sys.stderr
    console = Console(file=io.StringIO(), force_terminal=True)
    with CampaignProgress("kills", 2, console) as progress:
        advance(progress)
        assert threading.active_count() == threads
        assert (sys.stdout, sys.stderr) == (output, errors)


def test_progress_leaves_the_cursor_as_it_was_after_an_error() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True)
    with pytest.raises(KeyboardInterrupt), CampaignProgress("kills", 2, console):
        raise KeyboardInterrupt
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert file.getvalue().rindex(shown) > file.getvalue().rindex(hidden)
