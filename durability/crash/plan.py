"""The moments of a run at which a power cut may leave other states, under one model.

`durability.crash.loss_states` draws states from them. Not part of a state: permissions, owners,
times, and what was done to a file behind the trace.
"""

from collections.abc import Iterator

from durability.crash.content import Content
from durability.crash.counting import StateCount
from durability.crash.explanation import explain
from durability.crash.models import Model
from durability.crash.moment import CrashState, Moment
from durability.crash.persistence import Persistence
from durability.trace.records import Output
from durability.trace.trace import Trace


class Plan:
    """The states of one trace under one model; of cuts behind its first `since` records."""

    def __init__(self, model: Model, trace: Trace, since: int = 0) -> None:
        self.model = model
        self._trace = trace
        self._since = since

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
            is_behind = number >= self._since  # no cut is in a call that has returned by then
            if isinstance(record, Output):
                yield from moment(number) if is_behind else ()
                printed += len(record.data)
                continue
            for _ in disk.feed(record, number):
                yield from moment(number + 1) if is_behind else ()
        yield from moment(len(self._trace.records))

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
        count = StateCount(self.model)
        versions = [moment.version for moment in self.moments()]
        for moment, next_version in zip(self.moments(), [*versions[1:], None], strict=True):
            if moment.version != next_version:  # otherwise the next has all of its states
                count.add(moment)
        total = count.total()
        return total, count.is_lower_bound
