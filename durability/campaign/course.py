"""What the power is cut in: a run, or the recovery of what an earlier crash has left.

A kill leaves the page cache: what the run had not synced is there for the recovery to see, and goes
with the power all the same. So that recovery is the end of a course that begins with the run. What
an earlier power cut left is on disk: there the course is the recovery alone.
"""

from collections.abc import Iterator
from itertools import count
from typing import Literal

import msgspec

from durability.audit.promises import Heard
from durability.errors import InconclusiveError
from durability.targets.contract import lines_of
from durability.trace.records import AnyRecord, Kill, Open, Output
from durability.trace.trace import Trace


class Course(msgspec.Struct, frozen=True):
    """A trace, and the cuts behind its first `since` records.

    `before` is what had been heard before it, `of` what its own output is of. `where` says in words
    what came before, and `left_by` which model permits what the trace begins on, if that takes one.
    """

    trace: Trace
    since: int = 0
    before: list[Heard] = []
    of: Literal["run", "recovery"] = "run"
    where: str = ""
    left_by: str | None = None

    def output(self) -> bytes:
        """Return all that was printed."""
        return b"".join(one.data for one in self.trace.records if isinstance(one, Output))

    def heard(self, printed_bytes: int) -> list[Heard]:
        """Return all that had been heard once so much was printed."""
        return [*self.before, Heard(self.of, lines_of(self.output()[:printed_bytes]))]


def joined(first: Trace, second: Trace) -> tuple[Trace, int]:
    """Return the trace of a killed run and of what was run on what the kill left, as of one run.

    Returns also how many of its records are the first one's, whose output is left out. A file has
    the number that it had at first, wherever it is found by its path. Raises InconclusiveError
    where files have several names: what was run on were copies.
    """
    left = first.tree()
    if len(set(left.files.values())) < len(left.files):
        raise InconclusiveError("files with several names are not followed from a kill on")
    begun: list[AnyRecord] = []
    sources: dict[int, str] = {}
    for place, record in enumerate(first.records):
        if isinstance(record, Output | Kill):
            continue
        if place in first.sources:
            sources[len(begun)] = first.sources[place]
        begun.append(record)
    highest = max((_file(record) for record in (*first.initial, *begun)), default=0)
    numbers = {
        record.file: left.files[record.path]
        for record in second.initial
        if isinstance(record, Open)
    }
    fresh = count(highest + 1)
    sources |= {len(begun) + place: line for place, line in second.sources.items()}
    records = [*begun, *_renumbered(second, numbers, fresh)]
    return Trace(first.initial, records, sources), len(begun)


def _renumbered(trace: Trace, numbers: dict[int, int], fresh: Iterator[int]) -> Iterator[AnyRecord]:
    for record in trace.records:
        file = _file(record)
        if not file:
            yield record
            continue
        if file not in numbers:
            numbers[file] = next(fresh)
        yield msgspec.structs.replace(record, file=numbers[file])


def _file(record: AnyRecord) -> int:
    """Return the number of the file that a record is about; 0 where there is none."""
    return getattr(record, "file", None) or 0
