"""Whether events are those of clients that do one thing at a time.

    idle ──invoke──▶ waiting ──ok, fail──▶ idle
                        └──────info──────▶ over: what it asked for is open for ever

What is asked for and what is answered are the same function of the same key, and where the client
says the whole value, an ok has that value or none. A history that breaks this was not recorded as
it happened, and any verdict on it would be one on something else.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from durability.errors import HistoryError
from durability.history.event import Event, EventType, Function

_SAID_WHOLE: Final = (Function.WRITE, Function.CAS, Function.ENQUEUE, Function.APPEND)
"""Functions whose value is the client's: an answer adds nothing to it."""


def well_formed(events: Iterable[tuple[int, Event]], path: str) -> Iterator[tuple[int, Event]]:
    """Yield the events, with their lines, as long as they are well-formed.

    Raises:
        HistoryError: an event cannot come after those before it.
    """
    waiting: dict[int, tuple[int, Event]] = {}
    over: dict[int, int] = {}
    for line, event in events:
        reason = _refusal(event, waiting.get(event.process), over.get(event.process))
        if reason:
            raise HistoryError(path, line, reason)
        if event.type is EventType.INVOKE:
            waiting[event.process] = line, event
        else:
            del waiting[event.process]
        if event.type is EventType.INFO:
            over[event.process] = line
        yield line, event


def _refusal(event: Event, waiting: tuple[int, Event] | None, over: int | None) -> str:
    """Say why an event cannot be its process's next one; empty if it can.

    `waiting` is the line and the invocation that is not answered yet, `over` the line of an info.
    """
    if over is not None:
        return f"process {event.process} has an operation open for ever, since line {over}"
    if event.type is EventType.INVOKE:
        return _refusal_to_invoke(event, waiting)
    if waiting is None:
        return f"process {event.process} has no operation open"
    return _refusal_to_answer(event, *waiting)


def _refusal_to_invoke(event: Event, waiting: tuple[int, Event] | None) -> str:
    if waiting is not None:
        return f"process {event.process} has an operation open, since line {waiting[0]}"
    if event.f is Function.CAS and not _is_pair(event.value):
        return "the value of a cas is [old, new]"
    return ""


def _refusal_to_answer(answer: Event, line: int, invoked: Event) -> str:
    """Say why an answer cannot be one to the invocation on that line; empty if it can."""
    if (answer.f, answer.key) != (invoked.f, invoked.key):
        return f"process {answer.process} has invoked another operation, on line {line}"
    is_told = answer.type is EventType.OK and answer.f in _SAID_WHOLE and answer.value is not None
    # Compared as they are shown: true equals 1 in Python.
    if is_told and repr(answer.value) != repr(invoked.value):
        return f"process {answer.process} has invoked it with another value, on line {line}"
    return ""


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2
