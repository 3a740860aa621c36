"""Which states a power cut at any moment of a run may leave, under one model.

    for state in Plan(Model.named("ext4-ordered"), trace).states():
        ...

Not part of a state: permissions, owners, times, and what was done to a file behind the trace.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, Literal

from durability.crash.content import Content
from durability.crash.explanation import explain
from durability.crash.models import Model
from durability.crash.moment import CrashState, Moment
from durability.crash.persistence import Persistence
from durability.trace.records import Output
from durability.trace.trace import Trace

Order = Literal["likely", "exhaustive"]

_IDLE_PASSES_MAX: Final = 20
"""How often states are drawn from every moment without a new one until it is given up."""

_COUNTED_MAX: Final = 20_000
"""How many sets are looked at to count states exactly."""


class Plan:
    """The states of one trace under one model."""

    def __init__(self, model: Model, trace: Trace) -> None:
        self.model = model
        self._trace = trace

    def moments(self) -> Iterator[Moment]:
        """Yield the moments between which nothing becomes durable and nothing is promised.

        Each is to be used before the next is asked for. Every state that a cut may leave, with
        what was acknowledged by then, is a state of one of them.
        """
        disk = Persistence(self.model)
        disk.begin(self._trace.initial)
        printed = 0
        seen: tuple[int, int, int] | None = None

        def moment(cut: int) -> Iterator[Moment]:
            nonlocal seen
            now = disk.version, len(disk.pending), printed
            if now != seen:
                seen = now
                yield Moment(disk, cut, printed)

        for number, record in enumerate(self._trace.records):
            if isinstance(record, Output):
                yield from moment(number)
                printed += len(record.data)
                continue
            for _ in disk.feed(record, number):
                yield from moment(number + 1)
        yield from moment(len(self._trace.records))

    def states(
        self, order: Order = "likely", chance: random.Random | None = None
    ) -> Iterator[CrashState]:
        """Yield states, each content once for each amount of acknowledged output.

        "likely": first those that programs mostly forget, then drawn ones, until new ones are hard
        to find; with no `chance` to draw from, the first part only. "exhaustive": all of them, in
        the order of the run.
        """
        seen: set[tuple[int, bytes]] = set()

        def new(sets: Callable[[Moment], Iterable[int]]) -> Iterator[CrashState]:
            for moment in self.moments():
                for kept in sets(moment):
                    key = moment.acknowledged_bytes, moment.digest(kept)
                    if key not in seen:
                        seen.add(key)
                        yield moment.state(kept)

        if order == "exhaustive":
            yield from new(Moment.legal)
            return
        yield from new(Moment.forgotten)
        yield from new(Moment.single)
        idle = 0
        while chance is not None and idle < _IDLE_PASSES_MAX:
            before = len(seen)
            yield from new(partial(Moment.drawn, chance=chance))
            idle = 0 if len(seen) > before else idle + 1

    def explain(self, content: Content, acknowledged_bytes: int) -> CrashState | None:
        """Return a state with this content, in which so much had been acknowledged; or None."""
        for moment in self.moments():
            if moment.acknowledged_bytes == acknowledged_bytes:
                kept = explain(moment, content)
                if kept is not None:
                    return moment.state(kept)
        return None

    def count(self) -> tuple[int, bool]:
        """Return the number of different contents, and whether that is only a lower bound."""
        seen: set[bytes] = set()
        looked = 0
        for moment in self.moments():
            for kept in moment.legal():
                if looked == _COUNTED_MAX:
                    return len(seen), True
                looked += 1
                seen.add(moment.digest(kept))
        return len(seen), False
