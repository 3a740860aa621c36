"""A result on the terminal: what was done, what was broken, and last the verdict in one sentence.

Nothing here needs colour, width or a terminal. What a program under test printed is shown as text:
it is never read as markup, and its control characters are shown as escapes.
"""

from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
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
