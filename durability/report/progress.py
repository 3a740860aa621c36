"""How a campaign gets on: drawn on a terminal, elsewhere a line now and then."""

import time
from collections import Counter
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

_REFRESH_INTERVAL_S: Final = 0.1
_LINE_INTERVAL_S: Final = 10.0
"""How often progress is told where it cannot be drawn, in a log for example."""


class CampaignProgress:
    """What has been done of a campaign, and what that found; a context manager.

    The campaign forks its workers while it is shown, so it draws when called and never from a
    thread, and leaves their standard output alone.
    """

    def __init__(self, noun: str, total: int | None, console: Console) -> None:
        """Expect so many of what the plural `noun` names, or as many as there will be."""
        self._progress = Progress(
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=total)
        self._noun = noun
        self._total = total
        self._console = console
        self._interval_s = _REFRESH_INTERVAL_S if console.is_terminal else _LINE_INTERVAL_S
        self._began_s = self._drawn_s = time.monotonic()
        self._done = 0
        self._found: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._draw(time.monotonic())
        self._progress.stop()

    def __call__(self, done: int, **found: int) -> None:
        """Count what was done, and what it `found`: that is told in the order of the first call."""
        self._done += done
        self._found.update(found)
        now_s = time.monotonic()
        due = now_s - self._drawn_s >= self._interval_s
        if due:
            self._drawn_s = now_s
            if self._console.is_terminal:
                self._draw(now_s)
            else:
                self._write_line(now_s)

    def _draw(self, now_s: float) -> None:
        self._progress.update(
            self._task, completed=self._done, description=self._counts(now_s), refresh=True
        )

    def _write_line(self, now_s: float) -> None:
        of = "" if self._total is None else f" of {self._total:,}"
        line = f"{self._done:,}{of} {self._noun}: {self._counts(now_s)}\n"
        with suppress(OSError):  # nobody need listen
            self._console.file.write(line)
            self._console.file.flush()

    def _counts(self, now_s: float) -> str:
        rate = self._done / max(now_s - self._began_s, 1e-3)
        counts = [f"{count:,} {name}" for name, count in self._found.items()]
        return ", ".join([*counts, f"{rate:.0f} {self._noun}/s"])
