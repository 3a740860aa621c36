"""Histories in JSON Lines: what is written, and what is taken for an event."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durability.errors import HistoryError
from durability.history import json_lines
from durability.history.event import VALUE_DEPTH_MAX, Event, EventType, Function, Value

INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXTS,
    lambda values: st.lists(values, max_size=3).map(tuple),
    max_leaves=10,
)
EVENTS = st.builds(
    Event,
    process=st.integers(0, 2**63 - 1),
    type=st.sampled_from(EventType),
    f=st.sampled_from(Function),
    key=st.none() | INTEGERS | TEXTS,
    value=VALUES,
)


def read(*lines: str) -> list[Event]:
    numbered = enumerate((line.encode() for line in lines), 1)
    return [event for _, event in json_lines.events(numbered, "x")]


def line(**more: object) -> str:
    return json.dumps({"process": 0, "type": "invoke", "f": "read", **more})


@given(st.lists(EVENTS, max_size=5))
def test_what_is_written_is_read(events: list[Event]) -> None:
    data = json_lines.encode(events)
    found = list(json_lines.events(enumerate(data.splitlines(keepends=True), 1), "x"))
    assert found == list(enumerate(events, 1))
    assert json_lines.encode(event for _, event in found) == data


def test_one_event_is_one_line() -> None:
    event = Event(3, EventType.OK, Function.CAS, "k7", (1, None))
    assert json_lines.encode([event, event]) == 2 * (
        b'{"process":3,"type":"ok","f":"cas","key":"k7","value":[1,null]}\n'
    )


def test_key_and_value_may_be_left_out_and_notes_for_people_may_be_there() -> None:
    event = Event(0, EventType.INVOKE, Function.READ)
    assert read(line(), " ", line(index=7, time=1.5, error="late")) == [event, event]


def test_true_is_not_one() -> None:
    (event,) = read(line(value=[True, 1]))
    assert list(map(type, event.value)) == [bool, int]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"process": -1}, "process"),
        ({"process": "0"}, "process"),
        ({"process": 2**63}, "process"),
        ({"type": "done"}, "done"),
        ({"f": "raed"}, "raed"),
        ({"key": 1.0}, "key"),
        ({"key": 2**63}, "key"),
        ({"vaule": 1}, "vaule"),
        ({"value": 0.5}, "0.5 is no value"),
        ({"value": {"a": 1}}, "is no value"),
        ({"value": 2**63}, "is no value"),
        ({"time": "now"}, "time"),
    ],
)
def test_what_is_no_event_is_refused_with_its_line(changed: dict[str, object], reason: str) -> None:
    with pytest.raises(HistoryError, match=rf"^x:2: .*{reason}"):
        read(line(), line(**changed))


@pytest.mark.parametrize("text", ["[1]", "{", '{"process":0}', line() + line(), "x"])
def test_what_is_no_object_with_all_its_names_is_refused(text: str) -> None:
    with pytest.raises(HistoryError, match=r"^x:1: "):
        read(text)


def test_lists_are_so_deep_and_no_deeper() -> None:
    def nested(depth: int) -> str:
        return line(value=0).replace('"value": 0', f'"value": {"[" * depth + "]" * depth}')

    read(nested(VALUE_DEPTH_MAX))
    for depth in (VALUE_DEPTH_MAX + 1, 100_000):
        with pytest.raises(HistoryError, match=r"deep|depth"):
            read(nested(depth))
