"""Reading a history from a file, in the notation that is named or that its first line shows."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from durability.errors import HistoryError, UnreadableError
from durability.history import jepsen, json_lines
from durability.history.event import Event
from durability.history.well_formed import well_formed

LINE_BYTES_MAX: Final = 2**20

_BEGINNING: Final = re.compile(rb'\s*+(?:(?P<logged>INFO)|\{\s*"|\Z)')
"""An event in JSON begins with a text, where one in EDN has a keyword."""


class Notation(StrEnum):
    """How the events of a file are written."""

    JSON_LINES = "jsonl"
    EDN = "edn"
    JEPSEN_LOG = "jepsen-log"


@dataclass(frozen=True)
class History:
    """The events of a file, in order, and the number of the line where each begins."""

    notation: Notation
    events: list[Event]
    lines: list[int]


def load(path: str, notation: Notation | None = None) -> History:
    """Read a history; without a notation it is recognised.

    Raises:
        UnreadableError: the file cannot be read.
        HistoryError: it is no history, or not a well-formed one.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from error
    return read(data, path, notation)


def read(data: bytes, path: str, notation: Notation | None = None) -> History:
    """Read a history that is the content of the file `path`.

    Raises:
        HistoryError: it is no history, or not a well-formed one.
    """
    notation = notation or recognise(data)
    history = History(notation, [], [])
    for line, event in well_formed(_events(data, path, notation), path):
        history.lines.append(line)
        history.events.append(event)
    return history


def recognise(data: bytes) -> Notation:
    """Say in which notation a file is, if in any, from where it begins."""
    found = _BEGINNING.match(data)
    if found is None:
        return Notation.EDN
    return Notation.JSON_LINES if found["logged"] is None else Notation.JEPSEN_LOG


def _events(data: bytes, path: str, notation: Notation) -> Iterator[tuple[int, Event]]:
    lines = _lines(data, path)
    if notation is Notation.JSON_LINES:
        return json_lines.events(lines, path)
    texts = _texts(lines, path)
    if notation is Notation.JEPSEN_LOG:
        return jepsen.logged_events(texts, path)
    return jepsen.edn_events("".join(text for _, text in texts), path)


def _lines(data: bytes, path: str) -> Iterator[tuple[int, bytes]]:
    """Yield each line with its number, from 1 on, and with what ends it."""
    for number, line in enumerate(io.BytesIO(data), 1):
        if len(line) > LINE_BYTES_MAX:
            raise HistoryError(path, number, f"the line is longer than {LINE_BYTES_MAX} bytes")
        yield number, line


def _texts(lines: Iterator[tuple[int, bytes]], path: str) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            raise HistoryError(path, number, f"the line is not UTF-8: {error}") from error
