"""Histories of Jepsen's kind: files in EDN, and the log that Jepsen prints.

    {:process 0, :type :ok, :f :get, :key "7", :value ""}           an event in EDN
    INFO  jepsen.util - 0    :ok    :read    2                      an event in a log

What an event in EDN has beside that is not looked at, and what the nemesis does is no operation.
Without a `:key` all events are about one thing: Jepsen prints its tuples of key and value as it
does other pairs, so they are taken for values.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from durability.errors import HistoryError
from durability.history import edn
from durability.history.event import Event, EventType, Function, as_value

_PREFIX: Final = re.compile(r"INFO[ \t]+jepsen\.util[ \t]+-[ \t]")
_NEMESIS: Final = "nemesis"
_NAMES: Final = ("process", "type", "f", "key", "value")
_LOGGED: Final = ("process", "type", "f", "value")
_FUNCTIONS: Final = {"get": Function.READ, "put": Function.WRITE}
"""What porcupine's key-value store calls them."""


def edn_events(text: str, path: str) -> Iterator[tuple[int, Event]]:
    """Yield each event of a file in EDN, with the line where it begins.

    Raises:
        HistoryError: it is not EDN, or has something else than events.
    """
    line, counted = 1, 0
    try:
        for position, form in edn.Reader(text).forms(of_lists=True):
            line, counted = line + text.count("\n", counted, position), position
            yield from _client_events(line, form)
    except edn.MalformedError as error:
        line += text.count("\n", counted, error.position)
        raise HistoryError(path, line, str(error)) from error
    except ValueError as error:
        raise HistoryError(path, line, str(error)) from error


def logged_events(lines: Iterable[tuple[int, str]], path: str) -> Iterator[tuple[int, Event]]:
    """Yield the event of each line that is not blank, with the line's number.

    Raises:
        HistoryError: a line is no event, or not all of one.
    """
    for number, line in lines:
        try:
            yield from _logged_events(number, line)
        except ValueError as error:
            raise HistoryError(path, number, str(error)) from error


def _logged_events(number: int, line: str) -> Iterator[tuple[int, Event]]:
    if not line.strip(" \t\r\n"):
        return
    if not line.endswith("\n"):
        # A number that was cut is another number.
        raise ValueError("the line does not end")
    prefix = _PREFIX.match(line)
    if prefix is None:
        raise ValueError("expected 'INFO  jepsen.util - ' and an event")
    forms = [form for _, form in edn.Reader(line[prefix.end() :]).forms()]
    if len(forms) != len(_LOGGED):
        raise ValueError(f"an event is {', '.join(_LOGGED)}, and these are {len(forms)}")
    yield from _client_events(number, dict(zip(_LOGGED, forms, strict=False)))


def _client_events(line: int, form: edn.Form) -> Iterator[tuple[int, Event]]:
    """Yield the event that a map describes, if it is a client's."""
    if not isinstance(form, dict):
        raise ValueError("an event is a map")  # noqa: TRY004 - it is the file that is wrong
    if form.get("process") == _NEMESIS:
        return
    found: dict[str, object] = {
        name: str(part) if isinstance(part, str) else part
        for name, part in form.items()
        if name in _NAMES
    }
    value = form.get("value")
    if isinstance(value, edn.Keyword) and found.get("type") in (EventType.FAIL, EventType.INFO):
        # `:timed-out`: why it is so, and no value.
        value = None
    found["value"] = as_value(value)
    if isinstance(found.get("f"), str):
        found["f"] = _FUNCTIONS.get(str(found["f"]), found["f"])
    yield line, msgspec.convert(found, Event)
