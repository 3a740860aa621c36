"""What a property is: it judges each event that it watches, before the record takes it in."""

from abc import ABC, abstractmethod
from typing import ClassVar

from durability.invariants.events import Event
from durability.invariants.record import Record


class Property(ABC):
    """One guarantee of the protocol.

    `id` is its short name, `guarantee` what is promised, in a sentence; `watches` are the events
    that it judges.
    """

    id: ClassVar[str]
    guarantee: ClassVar[str]
    watches: ClassVar[tuple[type, ...]]

    @abstractmethod
    def judge(self, record: Record, event: Event) -> str | None:
        """Say what was observed instead of what is guaranteed; None where it holds.

        `record` is how things were before the event.
        """
