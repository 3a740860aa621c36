"""Every state that a kill may leave of one run, from the run's trace alone.

The supervisor performs a target's changes one after another, so the order of the trace is the order
of execution, and what a kill leaves is a prefix of it: whole records, and perhaps the beginning of
one more write. What had been promised by then is the output among those records. So a state is a
place in the trace: behind a change, behind output that followed it - the same tree, but more was
promised - or within a write.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from durability.crash.content import Content
from durability.targets.contract import Tear
from durability.trace.kill_order import PAGE_BYTES, KillOrder
from durability.trace.records import Kill, Output, Write, is_change
from durability.trace.trace import Trace
from durability.trace.tree import Tree


class KillState(NamedTuple):
    """The state behind `records` records of a trace and `cut` bytes of the next one, a write.

    `offset` and `calls` are its position, as in a `KillOrder`; `tear` is the coarsest that leaves
    it.
    """

    records: int
    cut: int
    offset: int
    calls: int
    tear: Tear

    @property
    def torn(self) -> bool:
        """Whether a write is cut."""
        return self.cut > 0

    def order(self) -> KillOrder:
        """Return the order for a real kill at this position."""
        return KillOrder(self.offset, self.calls, self.tear)


def kill_states(trace: Trace, tear: Tear) -> list[KillState]:
    """Return all states that kills of a run may leave, in the order of the trace.

    With "none" only those between two calls, with "page" also writes cut at multiples of 4096 in
    the file, with "byte" writes cut anywhere. Of a write that the trace ends in the middle of, the
    end is not known, so no state stands behind it.
    """
    found = [KillState(0, 0, 0, 0, "none")]
    offset = calls = 0
    for number, record in enumerate(trace.records):
        if isinstance(record, Write):
            found += (
                KillState(number, cut, offset + cut, 0, coarsest)
                for cut, coarsest in _cuts(record, tear)
            )
            offset, calls = offset + len(record.data), 0
            if record.torn:
                continue
        elif is_change(record):
            calls += 1
        elif not isinstance(record, Output):
            continue
        found.append(KillState(number + 1, 0, offset, calls, "none"))
    return found


def _cuts(write: Write, tear: Tear) -> Iterator[tuple[int, Tear]]:
    """Yield the numbers of bytes after which a write may be cut, with the coarsest such tear."""
    if tear == "none":
        return
    step = 1 if tear == "byte" else PAGE_BYTES
    first = step - write.offset % step
    for cut in range(first, len(write.data) + write.torn, step):
        yield cut, "byte" if (write.offset + cut) % PAGE_BYTES else "page"


def trace_until(trace: Trace, state: KillState) -> Trace:
    """Return the trace that a run has which is killed in this state."""
    records = trace.records[: state.records]
    if state.cut:
        records.append(_cut(trace, state))
    sources = {place: line for place, line in trace.sources.items() if place < len(records)}
    records.append(Kill(state.offset, state.calls, state.torn))
    return Trace(trace.initial, records, sources)


def _cut(trace: Trace, state: KillState) -> Write:
    write = trace.records[state.records]
    assert isinstance(write, Write)
    return msgspec.structs.replace(write, data=write.data[: state.cut], torn=True)


class Walk:
    """The contents of a trace's states, for states that are asked for in their order."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._tree = Tree(trace.initial)
        self._copies: dict[int, bytes] = {}
        self._applied = 0

    def content(self, state: KillState) -> Content:
        """Return what is on disk in this state, which does not stand before the last one."""
        for record in self._trace.records[self._applied : state.records]:
            self._tree.apply(record)
            self._copies.pop(getattr(record, "file", 0), None)
        self._applied = state.records
        if state.cut:
            # The tree may keep it: the rest of the write goes over the same place.
            cut = _cut(self._trace, state)
            self._tree.apply(cut)
            self._copies.pop(cut.file, None)
        return Content.of(self._tree, self._copies)
