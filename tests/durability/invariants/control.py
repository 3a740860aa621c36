"""What shows that a property can tell right from wrong."""

from collections.abc import Callable
from dataclasses import dataclass

from durability.invariants.events import Event
from durability.invariants.observer import Observer
from durability.invariants.property import Property


@dataclass(frozen=True)
class Control:
    """After `before`, `good` is silent and `bad` breaks the property with its last event."""

    make: Callable[[], Property]
    before: list[Event]
    good: list[Event]
    bad: list[Event]


def judge(make: Callable[[], Property], events: list[Event]) -> Observer:
    observer = Observer([make()])
    for event in events:
        observer.observe(event)
    return observer
