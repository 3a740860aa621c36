"""Histories in EDN and in Jepsen's log: what is taken for an event, and what for none."""

import pytest

from durability.errors import HistoryError
from durability.history.event import Event, EventType, Function
from durability.history.jepsen import edn_events, logged_events


def read(text: str) -> list[tuple[int, Event]]:
    return list(edn_events(text, "x"))


def logged(text: str) -> list[tuple[int, Event]]:
    return list(logged_events(enumerate(text.splitlines(keepends=True), 1), "x"))


READ = Event(0, EventType.INVOKE, Function.READ)


def test_a_map_is_an_event() -> None:
    text = '{:process 1, :type :ok, :f :append, :key "7", :value [1 :a nil], :time 1.5}'
    assert read(text) == [(1, Event(1, EventType.OK, Function.APPEND, "7", (1, "a", None)))]


def test_events_may_stand_in_a_list_and_be_operations_of_jepsen() -> None:
    text = "{:process 0 :type :invoke :f :read}"
    assert read(f"[{text}\n #jepsen.history.Op{text}]\n\n{text}") == [
        (1, READ),
        (2, READ),
        (4, READ),
    ]


def test_the_names_of_porcupines_store_are_ours() -> None:
    text = '{:process 0 :type :invoke :f :get} {:process 0 :type :invoke :f :put :value "v"}'
    assert [event.f for _, event in read(text)] == [Function.READ, Function.WRITE]


@pytest.mark.parametrize("event_type", ["fail", "info"])
def test_why_an_operation_failed_is_no_value(event_type: str) -> None:
    ((_, event),) = read(f"{{:process 0 :type :{event_type} :f :write :value :timed-out}}")
    assert event.value is None
    ((_, event),) = read(f"{{:process 0 :type :{event_type} :f :write :value 3}}")
    assert event.value == 3
    ((_, event),) = read("{:process 0 :type :ok :f :read :value :timed-out}")
    assert event.value == "timed-out"


def test_what_the_nemesis_does_is_no_operation() -> None:
    assert read("{:process :nemesis, :type :info, :f :start-partition, :value #{1}}") == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n7", "an event is a map"),
        ("\n[[]]", "an event is a map"),
        ("\n{:type :ok :f :read}", "process"),
        ("\n{:process true :type :ok :f :read}", "process"),
        ("\n{:process :a :type :ok :f :read}", "process"),
        ("\n{:process 0 :type :done :f :read}", "done"),
        ("\n{:process 0 :type :ok :f :add}", "add"),
        ("\n{:process 0 :type :ok :f [:read]}", "f"),
        ("\n{:process 0 :type :ok :f :read :key 1.5}", "key"),
        ("\n{:process 0 :type :ok :f :read :value #{1}}", "a set is no value"),
        ("[{:process 0 :type :ok :f :read}\n}", "closes nothing"),
    ],
)
def test_what_is_no_event_is_refused_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(HistoryError, match=rf"^x:2: .*{reason}"):
        read(text)


def test_a_line_of_a_log_is_an_event() -> None:
    text = (
        "INFO  jepsen.util - 0\t:invoke\t:read\tnil\n"
        "\n"
        "INFO  jepsen.util - :nemesis :info :start nil\n"
        "INFO\tjepsen.util - 7     :info   :cas    :timed-out\n"
    )
    assert logged(text) == [(1, READ), (4, Event(7, EventType.INFO, Function.CAS))]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("INFO  jepsen.core - 0 :invoke :read nil\n", "expected 'INFO"),
        ("WARN  jepsen.util - 0 :invoke :read nil\n", "expected 'INFO"),
        ("INFO  jepsen.util - 0 :invoke :read\n", "these are 3"),
        ("INFO  jepsen.util - 0 :invoke :read nil nil\n", "these are 5"),
        ('INFO  jepsen.util - 0 :invoke :write "\n', "not closed"),
        ("INFO  jepsen.util - 0 :invoke :write 2", "does not end"),
    ],
)
def test_what_is_no_event_of_a_log_is_refused(line: str, reason: str) -> None:
    with pytest.raises(HistoryError, match=rf"^x:2: .*{reason}"):
        logged(f"\n{line}")
