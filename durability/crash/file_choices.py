"""What may be chosen of the operations on one file, once those that files share are chosen.

Changes of names and what `joins` the log are shared, and data that brings a size with it or whose
place is not known before. The rest of each file is independent of other files; and once its size is
chosen, the data of each page is independent of other pages.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from durability.crash.moment import Moment, bits
from durability.crash.operations import Data, Grow, Names, Operation, Shift, Shrink
from durability.trace.kill_order import PAGE_BYTES


def shared(moment: Moment) -> int:
    """Return the set of the operations that are to be chosen first."""
    return sum(1 << at for at, operation in enumerate(moment.pending) if _is_shared(operation))


def _is_shared(operation: Operation) -> bool:
    match operation:
        case Names():
            return True
        case Data(grows_to=size, moved_by=shifts) if size or shifts:
            return True
        case _:
            return operation.joins


class FileChoices:
    """The sets that agree on what is shared, as far as they concern one file.

    `kept` is the smallest such set, `allowed` the largest.
    """

    def __init__(self, moment: Moment, file: int, kept: int, allowed: int) -> None:
        self._moment = moment
        self._kept = kept
        self._free = moment.of_file(file) & allowed

    def sized(self) -> Iterator[int]:
        """Yield sets that give the file each size it may have, and no more data than that needs.

        What came last is chosen first.
        """
        moment = self._moment
        undecided = self._free & ~self._kept
        growing = [1 << at for at in bits(of_kind(moment, undecided, Grow))]
        for cut in moment.legal(of_kind(moment, undecided, Shrink, Shift)):
            for grown in (*reversed(growing), 0):
                yield moment.with_needed(self._kept | cut | grown)

    def data(self, sized: int) -> int:
        """Return the data that can be added to such a set: that which needs no other truncation."""
        moment = self._moment
        absent = of_kind(moment, moment.everything() & ~sized, Shrink, Shift)
        free = of_kind(moment, self._free & ~sized, Data)
        return sum(1 << at for at in bits(free) if not moment.with_needed(1 << at) & absent)

    def parts(self, data: int) -> Iterator[int]:
        """Divide data into parts that neither depend on each other nor overlap.

        Data depends on no data of other pages, unless that is where it is `shared`.
        """
        pages: defaultdict[int, list[_Part]] = defaultdict(list)
        for at in bits(data):
            operation = self._moment.pending[at]
            assert isinstance(operation, Data)
            start, end, mask = operation.offset, operation.end, 1 << at
            needed = self._moment.with_needed(mask) & data
            apart = []
            for part in pages[start // PAGE_BYTES]:
                if part.mask & needed or (part.start < end and start < part.end):
                    start, end = min(start, part.start), max(end, part.end)
                    mask |= part.mask
                else:
                    apart.append(part)
            pages[operation.offset // PAGE_BYTES] = [*apart, _Part(start, end, mask)]
        return (part.mask for parts in pages.values() for part in parts)


class _Part(NamedTuple):
    """A set of data, and where it begins and ends in its file."""

    start: int
    end: int
    mask: int


def of_kind(moment: Moment, mask: int, *kinds: type[Operation]) -> int:
    """Return the operations of some kinds in a set."""
    return sum(1 << at for at in bits(mask) if isinstance(moment.pending[at], kinds))
