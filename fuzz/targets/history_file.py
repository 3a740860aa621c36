"""Invariant tested: a history is read as a second reader reads it, or an error says where it ends.

Each input is a file, read in each notation, and in the one that is recognised. What was read has
one encoding in JSON Lines, which is read as the same history. A file that is cut is refused, or is
read as the beginning of what it was.
"""

import tracemalloc
import zlib
from dataclasses import replace
from typing import Final

from durability.errors import HistoryError
from durability.history import json_lines
from durability.history.reading import History, Notation, read, recognise
from fuzz.laws import BrokenLawError
from fuzz.layout import Layout
from fuzz.specification import histories
from fuzz.target import Target

# A text: one line is as good as another.
HISTORY_FILE: Final = Layout(())

_PATH: Final = "history"
_ALLOCATED_BYTES_PER_BYTE: Final = 64
"""Lists of one item each, in a notation where one takes four bytes, are the most for their size."""
_ALLOCATED_BYTES_MIN: Final = 128 * 2**10
"""As much as the frames take of a reader that is 64 forms deep."""
_PREFIXES_MAX: Final = 64


def check(data: bytes) -> None:
    """Hold a file against every law, in each notation."""
    recognised = recognise(data)
    if recognised != histories.recognised(data):
        raise BrokenLawError(f"recognised as {recognised}")
    for notation in Notation:
        _check(data, notation)
    _check_allocation(data)


def probe(data: bytes) -> None:
    """Hold a file against the laws that cost little, in the notation that is recognised."""
    notation = recognise(data)
    history = _history(data, notation)
    if history is not None:
        _check_encoding(history)
        cut = zlib.crc32(data) % (len(data) + 1)
        _check_prefix(data[:cut], notation, history)


def _check(data: bytes, notation: Notation) -> None:
    history = _history(data, notation)
    expected = histories.history(data, notation)
    shown = None if history is None else _shown(history)
    wanted = None if expected is None else list(map(repr, expected))
    if shown != wanted:
        raise BrokenLawError(f"{notation}: read as {shown}, and is {wanted}", notation)
    if history is not None:
        _check_encoding(history)
        for cut in range(0, len(data), 1 + len(data) // _PREFIXES_MAX):
            _check_prefix(data[:cut], notation, history)


def _history(data: bytes, notation: Notation) -> History | None:
    """Read a file; None if it is refused."""
    try:
        return read(data, _PATH, notation)
    except HistoryError as error:
        is_line = 1 <= error.line <= data.count(b"\n") + 1
        if not is_line or not str(error).startswith(f"{_PATH}:{error.line}: "):
            raise BrokenLawError(f"the error does not say where: {error}") from error
        return None


def _check_encoding(history: History) -> None:
    encoded = json_lines.encode(history.events)
    again = read(encoded, _PATH)
    numbered = replace(history, lines=list(range(1, len(history.lines) + 1)))
    if _shown(again) != _shown(numbered):
        raise BrokenLawError(f"written and read again: {again}; before: {history}")
    if json_lines.encode(again.events) != encoded:
        raise BrokenLawError(f"another encoding of the same events than {encoded!r}")


def _check_prefix(data: bytes, notation: Notation, history: History) -> None:
    begun = _history(data, notation)
    if begun is not None and _shown(begun) != _shown(history)[: len(begun.events)]:
        raise BrokenLawError(f"the beginning {data!r} is read as {begun}, the whole as {history}")


def _check_allocation(data: bytes) -> None:
    tracemalloc.start()
    try:
        _history(data, recognise(data))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    if peak_bytes > _ALLOCATED_BYTES_MIN + _ALLOCATED_BYTES_PER_BYTE * len(data):
        raise BrokenLawError(f"{peak_bytes} bytes allocated for an input of {len(data)}")


def _shown(history: History) -> list[str]:
    """Show each event and its line so that any other looks otherwise: True equals 1."""
    return [
        repr((line, event.process, str(event.type), str(event.f), event.key, event.value))
        for line, event in zip(history.lines, history.events, strict=True)
    ]


TARGET: Final = Target(check=check, probe=probe, layout=HISTORY_FILE)
