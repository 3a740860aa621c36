"""Recorded histories, as docs/formats.md says: read by the standard library, and by hand.

A history is a list of events, each a tuple of line, process, type, function, key and value; what is
to be refused is None. True equals 1 in Python, so what is compared is how they are shown.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any, Final, NoReturn

from fuzz.specification.edn import Keyword, NoEdnError, read_forms, read_listed_forms

Event = tuple[int, Any, Any, Any, Any, Any]
Described = tuple[int, dict[str, Any]]
"""What is said of an event, and on which line."""

_FIELDS: Final = ("process", "type", "f", "key", "value")
_FUNCTIONS: Final = ("read", "write", "cas", "enqueue", "dequeue", "append", "txn")
_ANSWERED_AS_ASKED: Final = ("write", "cas", "enqueue", "append")
_TYPES: Final = ("invoke", "ok", "fail", "info")
_LOGGED: Final = re.compile(r"INFO[ \t]+jepsen\.util[ \t]+-[ \t](.*\n)", re.DOTALL)


class _NoHistoryError(Exception):
    """The file is refused."""


class _Object(list[tuple[str, Any]]):
    """The names and values of an object in JSON, in order, repeated ones too."""


def recognised(data: bytes) -> str:
    """Say which notation it is."""
    begins = data.lstrip()
    if begins[:4] == b"INFO":
        return "jepsen-log"
    is_object = begins[:1] == b"{" and begins[1:].lstrip()[:1] == b'"'
    return "jsonl" if is_object or not begins else "edn"


def history(data: bytes, notation: str) -> list[Event] | None:
    """Read a file in a notation."""
    readers = {"jsonl": _json_lines, "edn": _edn, "jepsen-log": _log}
    if any(len(line) > 2**20 for line in re.findall(rb"[^\n]*\n|[^\n]+", data)):
        return None
    try:
        events = [_event(*described) for described in readers[notation](data.decode())]
    except (_NoHistoryError, NoEdnError, UnicodeDecodeError):
        return None
    return events if _is_well_formed(events) else None


def _event(line: int, found: dict[str, Any]) -> Event:
    """Put what is said of an event in order, if it is right."""
    process, event_type, function, key, value = map(found.get, _FIELDS)
    if not (
        _is_integer(process, least=0)
        and event_type in _TYPES
        and function in _FUNCTIONS
        and (key is None or _is_integer(key) or _is_text(key))
        and (value := _value(value, 16)) is not _NO_VALUE
    ):
        raise _NoHistoryError
    return line, process, event_type, function, key, value


_NO_VALUE: Final = object()


def _value(found: Any, depth: int) -> Any:
    if isinstance(found, list) and not isinstance(found, _Object) and depth:
        items = [_value(item, depth - 1) for item in found]
        return _NO_VALUE if _NO_VALUE in items else tuple(items)
    if isinstance(found, str):
        return str(found) if _is_text(found) else _NO_VALUE
    return found if found is None or isinstance(found, bool) or _is_integer(found) else _NO_VALUE


def _is_integer(found: Any, least: int = -(2**63)) -> bool:
    return type(found) is int and least <= found < 2**63


def _is_text(found: Any) -> bool:
    return isinstance(found, str) and not any(0xD800 <= ord(part) < 0xE000 for part in found)


def _is_well_formed(events: Iterable[Event]) -> bool:
    """Follow each process: what it has open, or that it is over."""
    open_now: dict[int, tuple[Any, ...]] = {}
    over = set()
    for _, process, event_type, function, key, value in events:
        if process in over:
            return False
        if event_type == "invoke":
            is_pair = isinstance(value, tuple) and len(value) == 2
            if process in open_now or (function == "cas" and not is_pair):
                return False
            open_now[process] = function, key, repr(value)
        else:
            *operation, asked = open_now.pop(process, (None, None, None))
            if operation != [function, key]:
                return False
            is_told = event_type == "ok" and function in _ANSWERED_AS_ASKED
            if is_told and repr(value) not in ("None", asked):
                return False
        if event_type == "info":
            over.add(process)
    return True


def _json_lines(text: str) -> Iterable[Described]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip(" \t\r"):
            yield number, _object(line)


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(
            line, object_pairs_hook=_Object, parse_float=_fraction, parse_constant=_refuse
        )
    except (ValueError, RecursionError) as error:
        raise _NoHistoryError from error
    if not isinstance(found, _Object):
        raise _NoHistoryError
    permitted = {
        "index": lambda part: part is None or _is_integer(part),
        "time": lambda part: part is None or isinstance(part, float) or _is_integer(part),
        "error": lambda part: part is None or _is_text(part),
    }
    for name, part in found:
        if name in permitted:
            if not permitted[name](part):
                raise _NoHistoryError
        elif name in _FIELDS:
            # Each that is given must be right, whatever the others are.
            _event(0, {"process": 0, "type": "ok", "f": "read", name: part})
        else:
            raise _NoHistoryError
    return dict(found)


def _fraction(text: str) -> float:
    found = float(text)
    if math.isinf(found):
        raise _NoHistoryError
    return found


def _refuse(text: str) -> NoReturn:
    del text
    raise _NoHistoryError


def _edn(text: str) -> Iterable[Described]:
    for position, form in read_listed_forms(text):
        yield from _described(text[:position].count("\n") + 1, form)


def _log(text: str) -> Iterable[Described]:
    for number, line in enumerate(re.findall(r"[^\n]*\n|[^\n]+", text), 1):
        if line.strip(" \t\r\n"):
            logged = _LOGGED.fullmatch(line)
            forms = [] if logged is None else read_forms(logged[1])
            if len(forms) != 4:
                raise _NoHistoryError
            names = ("process", "type", "f", "value")
            yield from _described(number, dict(zip(names, forms, strict=True)))


def _described(line: int, form: Any) -> Iterable[Described]:
    """Yield what a map says of an event, unless the event is none of a client."""
    if not isinstance(form, dict):
        raise _NoHistoryError
    if form.get("process") == "nemesis":
        return
    found = {name: _plain(part) for name, part in form.items()}
    if isinstance(form.get("value"), Keyword) and found.get("type") in ("fail", "info"):
        found["value"] = None
    if found.get("f") == "get":
        found["f"] = "read"
    if found.get("f") == "put":
        found["f"] = "write"
    yield line, found


def _plain(form: Any) -> Any:
    return str(form) if isinstance(form, Keyword) else form
