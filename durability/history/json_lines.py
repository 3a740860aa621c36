"""JSON Lines, the notation of the histories that are recorded here.

    {"process":3,"type":"invoke","f":"write","key":"k7","value":5}

One event a line. `key` and `value` may be left out for null; `index`, `time` and `error` may be
there for people. Any other name is refused: of a misspelt one nothing would be known.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from durability.errors import HistoryError
from durability.history.event import Event, as_value


class _Line(Event, frozen=True, forbid_unknown_fields=True):
    index: int | None = None
    time: int | float | None = None
    error: str | None = None


_DECODER: Final = msgspec.json.Decoder(_Line)
_ENCODER: Final = msgspec.json.Encoder()


def encode(events: Iterable[Event]) -> bytes:
    """Write events, a line for each: the one encoding that these events have."""
    return _ENCODER.encode_lines(events)


def events(lines: Iterable[tuple[int, bytes]], path: str) -> Iterator[tuple[int, Event]]:
    """Yield the event of each line that is not blank, with the line's number.

    Raises:
        HistoryError: a line is no event.
    """
    for number, line in lines:
        if line.strip(b" \t\r\n"):
            yield number, _event(path, number, line)


def _event(path: str, number: int, line: bytes) -> Event:
    try:
        found = _DECODER.decode(line)
        value = as_value(found.value)
    except (ValueError, RecursionError) as error:
        raise HistoryError(path, number, str(error)) from error
    return Event(found.process, found.type, found.f, found.key, value)
