"""A result's figures, made readable: facts with a label and a unit, and tables of records."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from durability.report.result import Result

_LABELS: Final[Mapping[str, tuple[str, str]]] = {
    "mechanism": ("kill mechanism", ""),
    "redrawn": ("drawn again", ""),
    "torn": ("torn writes", ""),
    "distinct_offsets": ("distinct positions", ""),
    "distinct_states": ("distinct states", ""),
    "acked": ("acknowledged", "items"),
    "lost": ("lost of these", "items"),
    "violating_kills": ("kills with a violation", ""),
    "cycles_per_second": ("rate", "kills/s"),
    "stream_bytes": ("write stream", "bytes"),
    "kills_by_link": ("kills by link", ""),
    "recoveries_killed": ("recoveries killed too", ""),
    "states": ("kill states", ""),
    "states_per_second": ("rate", "states/s"),
    "explored": ("states explored", ""),
    "promised": ("after a promise", ""),
    "pass_s": ("one pass", "s"),
    "checked_by_kills": ("made by real kills too", ""),
    "checked_equal": ("equal to the byte", ""),
    "bytes": ("write stream", "bytes"),
    "acks": ("acknowledgements", ""),
    "untraceable": ("not traced", ""),
    "file": ("written to", ""),
}
"""Label and unit of a figure; one that is not here is shown by its own name."""

_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "directories": (
        "path", "format", "verdict", "term", "voted_for", "commit_index", "first_index",
        "last_index", "snapshot_index",
    ),
    "checks": ("name", "ok", "detail"),
    "mutants": ("id", "catalogue", "technique", "found", "executions", "seconds"),
    "faults": (
        "name", "fired", "possible", "violations", "refused", "intact", "lost", "wrong", "untold",
    ),
    "crashes": ("target", "kind", "place", "path"),
    "findings": ("path", "operation", "acknowledgement", "model", "source"),
}  # fmt: skip
"""The columns of a table that would be too wide with all of its records' scalars; those it has."""


class Records(NamedTuple):
    """A table: the figure's name, the columns' names, a row of cells a record."""

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """Yield label and value of each figure that is no table, then of the seed and the time."""
    for name, value in result.figures.items():
        if not _records(value):
            label, unit = _LABELS.get(name, (name, ""))
            yield label, f"{_cell(value)} {unit}".rstrip()
    if result.seed is not None:
        yield "seed", str(result.seed)
    yield "time", f"{result.elapsed_s:.1f} s"


def tables(result: Result) -> Iterator[Records]:
    """Yield each figure that is records, in a list or by name."""
    for name, value in result.figures.items():
        if name == "scenarios":
            yield from map(_scenario, value)
        elif records := _records(value):
            named = _COLUMNS.get(name) or _scalars(records[0])
            columns = tuple(column for column in named if any(column in of for of in records))
            rows = [tuple(_cell(record.get(column)) for column in columns) for record in records]
            yield Records(name, columns, rows)


def _scenario(scenario: Mapping[str, Any]) -> Records:
    """Return a scenario's outcome as a table of its own: it has figures that no other has."""
    rows: list[tuple[str, ...]] = [("verdict", scenario["verdict"])]
    for landing in scenario["landing"]:
        rows.append((landing["fault"], f"landed {landing['landed']:,} of {landing['ordered']:,}"))
        rows.append(("", landing["evidence"]))
    rows += [(name, _cell(value)) for name, value in scenario["figures"].items()]
    rows.append(("time", f"{scenario['elapsed_s']:.1f} s"))
    return Records(scenario["id"], ("figure", "value"), rows)


def _records(value: Any) -> list[Mapping[str, Any]]:
    """Return the records that a figure consists of; none if it is something else."""
    if isinstance(value, Mapping):
        value = [{"name": name, **of} for name, of in value.items() if isinstance(of, Mapping)]
    return [of for of in value if isinstance(of, Mapping)] if isinstance(value, list) else []


def _scalars(record: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name, value in record.items() if not isinstance(value, list | Mapping))


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return f"{value:,}"
        case Mapping():
            return ", ".join(f"{name} {_cell(of)}" for name, of in value.items()) or "none"
        case list():
            return ", ".join(map(_cell, value)) or "none"
        case _:
            return str(value)
