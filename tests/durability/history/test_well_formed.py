"""What a client can do next, and what it cannot have done."""

import pytest

from durability.errors import HistoryError
from durability.history.event import Event, EventType, Function, Value
from durability.history.well_formed import well_formed

INVOKE, OK, FAIL, INFO = EventType


def follow(*events: Event) -> list[Event]:
    return [event for _, event in well_formed(enumerate(events, 1), "x")]


def event(event_type: EventType, process: int = 0, *, key: str = "k") -> Event:
    return Event(process, event_type, Function.READ, key)


def test_each_process_does_one_thing_after_the_other() -> None:
    events = [event(INVOKE), event(INVOKE, 1), event(OK), event(INVOKE), event(FAIL)]
    events += [event(INFO, 1), event(INVOKE), event(INFO), event(INVOKE, 2)]
    assert follow(*events) == events


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([event(OK)], "1: process 0 has no operation open"),
        ([event(INVOKE, 1), event(INFO)], "2: process 0 has no operation open"),
        ([event(INVOKE), event(OK), event(FAIL)], "3: process 0 has no operation open"),
        ([event(INVOKE), event(INVOKE)], "2: process 0 has an operation open, since line 1"),
        ([event(INVOKE), event(INFO), event(INVOKE)], "3: .* open for ever, since line 2"),
        ([event(INVOKE), event(INFO), event(OK)], "3: .* open for ever, since line 2"),
        ([event(INVOKE), event(OK, key="l")], "2: .* invoked another operation, on line 1"),
        (
            [event(INVOKE), Event(0, OK, Function.WRITE, "k")],
            "2: .* invoked another operation, on line 1",
        ),
    ],
)
def test_what_a_process_cannot_have_done_is_refused(events: list[Event], reason: str) -> None:
    with pytest.raises(HistoryError, match=f"^x:{reason}"):
        follow(*events)


@pytest.mark.parametrize("value", [None, 1, (1,), (1, 2, 3), "ab"])
def test_a_cas_is_from_one_value_to_another(value: Value) -> None:
    follow(Event(0, INVOKE, Function.CAS, None, (1, 2)), Event(0, FAIL, Function.CAS))
    with pytest.raises(HistoryError, match="the value of a cas"):
        follow(Event(0, INVOKE, Function.CAS, None, value))


@pytest.mark.parametrize(
    "function", [Function.WRITE, Function.CAS, Function.ENQUEUE, Function.APPEND]
)
def test_what_was_done_is_what_was_asked_for(function: Function) -> None:
    invoked = Event(0, INVOKE, function, "k", (1, (2, "a")))
    for event_type in (OK, FAIL, INFO):
        follow(invoked, Event(0, event_type, function, "k", (1, (2, "a"))))
        follow(invoked, Event(0, event_type, function, "k"))
    for value in ((1, (2, "b")), (True, (2, "a")), (1,), 1, False, ""):
        with pytest.raises(HistoryError, match=r"^x:2: process 0 .* another value, on line 1"):
            follow(invoked, Event(0, OK, function, "k", value))
        # What has failed, or may have, was not done with that value either.
        follow(invoked, Event(0, FAIL, function, "k", value))
        follow(invoked, Event(0, INFO, function, "k", value))


@pytest.mark.parametrize("function", [Function.READ, Function.DEQUEUE, Function.TXN])
def test_what_was_read_is_said_by_the_answer_alone(function: Function) -> None:
    for value in (None, 1, ("read", "k", 5)):
        follow(Event(0, INVOKE, function, "k", value), Event(0, OK, function, "k", 2))


def test_a_write_of_nothing_is_not_answered_with_something() -> None:
    with pytest.raises(HistoryError, match="another value"):
        follow(Event(0, INVOKE, Function.WRITE), Event(0, OK, Function.WRITE, None, 5))
