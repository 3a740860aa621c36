"""A result on the terminal: what was done, what was broken, and last the verdict in one sentence.

Nothing here needs colour, width or a terminal. What a program under test printed is shown as text:
it is never read as markup, and its control characters are shown as escapes.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from durability.audit.verdict import Verdict
from durability.audit.violation import Violation
from durability.report.figures import Records, facts, tables
from durability.report.result import Result
from durability.report.wording import conclusion, visible

_STYLES: Final[dict[Verdict, str]] = {
    "held": "bold green",
    "violation": "bold red",
    "inconclusive": "bold yellow",
}
_REFRESH_INTERVAL_S: Final = 0.1
_LINE_INTERVAL_S: Final = 10.0
"""How often progress is told where it cannot be drawn, in a log for example."""


def show(result: Result, console: Console) -> None:
    """Print the summary of a finished command."""
    _Summary(console).print(result)


class _Summary:
    """The parts of a summary, each printed as it is met."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def print(self, result: Result) -> None:
        self._line(f"{result.program} {result.command}", "bold")
        self._console.print(self._grid(facts(result)))
        for table in tables(result):
            self._table(table)
        for violation in result.violations:
            self._violation("VIOLATION", violation, _STYLES["violation"])
        for violation in result.known:
            self._violation("KNOWN", violation, "bold")
        self._list("Inconclusive because", result.reasons)
        self._list("Notes", result.notes)
        self._heading(conclusion(result), _STYLES[result.verdict])

    def _table(self, table: Records) -> None:
        """Print a row a record or, where words would not fit in their columns, a list a record."""
        self._heading(table.name, "bold")
        grid = self._grid([table.columns, *table.rows])
        console = self._console
        if Measurement.get(console, console.options, grid).minimum < console.width:
            console.print(grid)
            return
        for number, row in enumerate(table.rows):
            if number:
                console.print()
            console.print(self._grid(zip(table.columns, row, strict=True)))

    def _violation(self, heading: str, violation: Violation, style: str) -> None:
        self._heading(f"{heading} {violation.kind}", style)
        seen = [("guarantee", violation.invariant), ("seen", violation.message)]
        self._console.print(self._grid(seen))
        if violation.reproduce:
            self._line(f"  reproduce  {violation.reproduce}")

    def _list(self, heading: str, items: list[str]) -> None:
        if items:
            self._heading(heading, "bold")
            self._console.print(self._grid(("-", item) for item in items))

    def _heading(self, text: str, style: str) -> None:
        self._console.print()
        self._line(text, style)

    def _line(self, text: str, style: str = "") -> None:
        """Print one line, whatever the width, so that it can be copied as one."""
        self._console.print(self._text(text.replace("\n", r"\n"), style), soft_wrap=True)

    def _grid(self, rows: Iterable[tuple[str, ...]]) -> Padding:
        """Return rows in columns, set in from the margin; long cells are wrapped in theirs."""
        grid = Table.grid(padding=(0, 2, 0, 0))
        for row in rows:
            grid.add_row(*map(self._text, row))
        return Padding.indent(grid, 2)

    def _text(self, text: str, style: str = "") -> Text:
        """Return foreign text as it can be shown, in the characters that the console can print."""
        encoding = self._console.encoding
        shown = visible(text).encode(encoding, "backslashreplace").decode(encoding)
        return Text(shown, style, overflow="fold")


class CrashProgress:
    """How a crash loop gets on: drawn on a terminal, elsewhere a line now and then.

    A context manager, called with each cycle. The loop forks its workers while it is shown, so it
    draws when called and never from a thread, and leaves their standard output alone.
    """

    def __init__(self, total: int | None, console: Console) -> None:
        """Expect so many cycles, or as many as there will be."""
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
        self._total = total
        self._console = console
        self._interval_s = _REFRESH_INTERVAL_S if console.is_terminal else _LINE_INTERVAL_S
        self._began_s = self._drawn_s = time.monotonic()
        self._cycles = self._landed = self._torn = self._acknowledged = self._violating = 0

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

    def __call__(self, *, landed: bool, torn: bool, acknowledged: int, violating: bool) -> None:
        """Count one finished cycle; `violating` says that it found a violation."""
        self._cycles += 1
        self._landed += landed
        self._torn += torn
        self._acknowledged += acknowledged
        self._violating += violating
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
            self._task, completed=self._cycles, description=self._counts(now_s), refresh=True
        )

    def _write_line(self, now_s: float) -> None:
        of = "" if self._total is None else f" of {self._total:,}"
        line = f"{self._cycles:,}{of} kills: {self._counts(now_s)}\n"
        with suppress(OSError):  # nobody need listen
            self._console.file.write(line)
            self._console.file.flush()

    def _counts(self, now_s: float) -> str:
        rate = self._cycles / max(now_s - self._began_s, 1e-3)
        return (
            f"{self._landed:,} landed, {self._torn:,} torn, {self._acknowledged:,} acknowledged,"
            f" {self._violating:,} violating, {rate:.0f} kills/s"
        )
