"""Whole files: recorded elsewhere, recognised, refused."""

import pickle
from pathlib import Path

import pytest

from durability.errors import HistoryError, UnreadableError
from durability.history import json_lines
from durability.history.event import EventType, Function
from durability.history.reading import LINE_BYTES_MAX, Notation, load, read, recognise

RECORDED = Path(__file__).parents[2] / "data" / "histories"
EVENT = b'{"process":0,"type":"invoke","f":"read"}'


@pytest.mark.parametrize(
    ("name", "notation", "events", "crashed"),
    [
        ("etcd_002.log", Notation.JEPSEN_LOG, 154, 19),
        ("etcd_007.log", Notation.JEPSEN_LOG, 162, 17),
        ("etcd_095.log", Notation.JSON_LINES, 0, 0),
        ("c01-ok.txt", Notation.EDN, 116, 0),
        ("c01-bad.txt", Notation.EDN, 76, 0),
    ],
)
def test_recorded_histories_are_read(
    name: str, notation: Notation, events: int, crashed: int
) -> None:
    history = load(str(RECORDED / name))
    assert history.notation is notation
    assert len(history.events) == events
    assert history.lines == list(range(1, events + 1))
    assert [event.type for event in history.events].count(EventType.INFO) == crashed
    again = read(json_lines.encode(history.events), "again")
    assert again.events == history.events


def test_the_events_are_those_of_the_file() -> None:
    lines = (RECORDED / "etcd_002.log").read_text().splitlines()
    for line, event in zip(lines, load(str(RECORDED / "etcd_002.log")).events, strict=True):
        process, event_type, function, value = line.split(maxsplit=3)[3].split(maxsplit=3)
        assert (event.process, event.type, event.f) == (int(process), event_type[1:], function[1:])
        if value == ":timed-out":
            assert event.value is None
        elif function == ":cas":
            assert list(event.value) == [int(part) for part in value.strip("[]").split()]
        else:
            assert event.value == (None if value == "nil" else int(value))
    (first, *_) = load(str(RECORDED / "c01-ok.txt")).events
    assert (first.f, first.key, first.value) == (Function.APPEND, "0", "x 0 0 y")


@pytest.mark.parametrize(
    ("data", "notation"),
    [
        (b"", Notation.JSON_LINES),
        (b" \n", Notation.JSON_LINES),
        (b' \n{ "process":0}', Notation.JSON_LINES),
        (b"\nINFO  jepsen.util - ", Notation.JEPSEN_LOG),
        (b"{:process 0}", Notation.EDN),
        (b"[", Notation.EDN),
        (b"\xff", Notation.EDN),
    ],
)
def test_a_notation_is_recognised_by_how_a_file_begins(data: bytes, notation: Notation) -> None:
    assert recognise(data) is notation


def test_a_notation_that_is_named_is_not_guessed_at() -> None:
    with pytest.raises(HistoryError, match="an event is a map"):
        read(b"INFO", "x", Notation.EDN)


def test_a_history_that_is_not_well_formed_is_refused() -> None:
    with pytest.raises(HistoryError, match=r"^x:2: process 0 has an operation open"):
        read(EVENT + b"\n" + EVENT, "x")


def test_lines_are_so_long_and_no_longer() -> None:
    blank = LINE_BYTES_MAX - len(EVENT) - 1
    assert read(b" " * blank + EVENT + b"\n" + EVENT.replace(b"0", b"1"), "x").lines == [1, 2]
    for notation in Notation:
        with pytest.raises(HistoryError, match=r"^x:2: the line is longer"):
            read(b"\n" + b" " * LINE_BYTES_MAX + b"\n", "x", notation)


@pytest.mark.parametrize(
    ("notation", "data"),
    [
        (Notation.JSON_LINES, b'\n{"\xff":0}'),
        (Notation.EDN, b'\n{:x "\xff"}'),
        (Notation.JEPSEN_LOG, b"\nINFO \xff"),
    ],
)
def test_what_is_not_utf_8_is_refused_with_its_line(notation: Notation, data: bytes) -> None:
    with pytest.raises(HistoryError, match=r"^x:2: .*utf-8"):
        read(data, "x", notation)


def test_a_file_that_is_not_there_is_unreadable() -> None:
    with pytest.raises(UnreadableError, match="/nonexistent: No such file"):
        load("/nonexistent")


def test_an_error_says_where_and_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(HistoryError("x", 3, "because")))
    assert (str(error), error.path, error.line, error.reason) == ("x:3: because", "x", 3, "because")
