"""How many different contents a power cut may leave of a run, without a look at each.

What files share is gone through set by set. Under each such set a state is a choice of a size for
each file and then, for each unit of it, of one of a few contents: a *box*, the product of these.
States in boxes with other paths or sizes differ. Boxes with the same paths and sizes overlap, from
moment to moment; the number of states in their union is counted unit by unit.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice, product
from math import prod
from typing import Final

from durability.crash.file_choices import FileChoices, shared
from durability.crash.models import Model
from durability.crash.moment import Moment
from durability.crash.operations import Data
from durability.crash.unit_contents import UnitContents
from durability.trace.kill_order import PAGE_BYTES

WORK_MAX: Final = 50_000
"""How many units and operations are looked at, and how many boxes compared, for an exact count."""

COUNT_MAX: Final = 2**53 - 1
"""The largest number that every reader of JSON takes as it is."""

_CONTENTS_MAX: Final = 1024
"""How many contents are told apart of a unit, and of a file with several names."""

_Unit = frozenset[bytes]
_Units = tuple[_Unit, ...]
_Key = tuple[tuple[bytes, bytes | int], ...]
"""For each path the size of the file, or what else there is."""


class StateCount:
    """Counts the states of the moments that it is given.

    `is_lower_bound` tells, after `total`, whether there may be more.
    """

    def __init__(self, model: Model, work_max: int = WORK_MAX) -> None:
        self.is_lower_bound = False
        # Where there is a log, several sectors of a new page are written as one.
        self._unit_bytes = PAGE_BYTES if model.logged else model.unit_bytes
        self._looking_left = self._boxes_left = self._comparing_max = work_max
        self._boxes: defaultdict[_Key, set[_Units]] = defaultdict(set)

    def add(self, moment: Moment) -> None:
        """Look at the states of a moment, as far as that is not too much work."""
        everything_shared = shared(moment)
        contents = UnitContents(moment, self._unit_bytes)
        for chosen in moment.legal(everything_shared):
            if self._is_spent(1):
                return
            kept = moment.with_needed(chosen)
            allowed = moment.without(everything_shared & ~chosen)
            for key, units in self._boxes_of(contents, moment.paths(chosen), kept, allowed):
                self._boxes[key].add(units)
                self._boxes_left -= 1
                if self._boxes_left < 0:
                    self.is_lower_bound = True
                    return

    def _is_spent(self, work: int) -> bool:
        """Note some work; tell whether it is one too many."""
        self._looking_left -= work
        self.is_lower_bound |= self._looking_left < 0
        return self._looking_left < 0

    def _boxes_of(
        self, contents: UnitContents, paths: list[tuple[bytes, int]], kept: int, allowed: int
    ) -> Iterator[tuple[_Key, _Units]]:
        moment = contents.moment
        names = Counter(node for _, node in paths if node > 0)
        choices: dict[int, list[tuple[int, _Units]]] = {}
        for node, count in names.items():
            found = set(self._choices_of(contents, node, kept, allowed))
            choices[node] = list(found if count == 1 else self._one_by_one(found))
        for chosen in product(*choices.values()):
            files = dict(zip(choices, chosen, strict=True))
            key = tuple(
                (path, files[node][0] if node > 0 else moment.described(node))
                for path, node in paths
            )
            yield key, tuple(unit for _, node in paths if node > 0 for unit in files[node][1])

    def _choices_of(
        self, contents: UnitContents, file: int, kept: int, allowed: int
    ) -> Iterator[tuple[int, _Units]]:
        """Yield the sizes that a file may have, each with what may be in its units.

        At least one, so that there is a box of all files, however much work was done before.
        """
        choices = FileChoices(contents.moment, file, kept, allowed)
        for sized in choices.sized():
            size = contents.size(file, sized)
            count = -(-size // contents.unit_bytes)
            data = choices.data(sized)
            written: defaultdict[int, int] = defaultdict(int)
            for part in choices.parts(data):
                written[_place(contents.moment, part) // contents.unit_bytes] |= part
            yield (
                size,
                tuple(
                    self._unit(contents, file, sized, written.get(number, 0), number)
                    for number in range(count)
                ),
            )
            if self._is_spent(1 + count + data.bit_count()):
                return

    def _unit(self, contents: UnitContents, file: int, sized: int, free: int, number: int) -> _Unit:
        """Return what may be in a unit, to which some free data was written."""
        sets = contents.moment.legal(free)
        found = frozenset(
            contents.digest(file, sized | chosen, number) for chosen in islice(sets, _CONTENTS_MAX)
        )
        self.is_lower_bound |= next(sets, None) is not None
        return found

    def _one_by_one(self, choices: set[tuple[int, _Units]]) -> Iterator[tuple[int, _Units]]:
        """Yield what a file with several names may hold, which is the same under each of them."""
        for size, units in choices:
            contents = product(*units)
            for content in islice(contents, _CONTENTS_MAX):
                yield size, tuple(frozenset({digest}) for digest in content)
            self.is_lower_bound |= next(contents, None) is not None

    def total(self) -> int:
        """Return how many states there are, or at least are; `COUNT_MAX` for all more."""
        union = _Union(self._comparing_max)
        found = sum(union.count(list(boxes)) for boxes in self._boxes.values())
        self.is_lower_bound |= union.is_lower_bound or found > COUNT_MAX
        return min(found, COUNT_MAX)


class _Union:
    """Counts the states that lie in at least one of some boxes of equal paths and sizes."""

    def __init__(self, work_max: int) -> None:
        self.is_lower_bound = False
        self._left = work_max

    def count(self, boxes: list[_Units]) -> int:
        """Unit by unit, count those states together whose beginning lies in the same boxes.

        Where that is too much work, the largest box is a lower bound.
        """
        found = Counter({frozenset(range(len(boxes))): 1})
        for column in zip(*boxes, strict=True):
            following: Counter[frozenset[int]] = Counter()
            for among, states in found.items():
                self._left -= len(among)
                if self._left < 0:
                    self.is_lower_bound = True
                    return max(prod(len(unit) for unit in box) for box in boxes)
                for group, contents in _groups(column, among).items():
                    following[group] += states * contents
            found = following
        return found.total()


def _place(moment: Moment, part: int) -> int:
    first = next(moment.chosen(part))
    assert isinstance(first, Data)
    return first.offset


def _groups(column: _Units, among: frozenset[int]) -> Counter[frozenset[int]]:
    """Return, for each group of boxes, how many contents of one unit lie in exactly these."""
    units = {column[box] for box in among}
    if len(units) == 1:
        return Counter({among: len(units.pop())})
    holders: defaultdict[bytes, set[int]] = defaultdict(set)
    for box in among:
        for digest in column[box]:
            holders[digest].add(box)
    return Counter(frozenset(group) for group in holders.values())
