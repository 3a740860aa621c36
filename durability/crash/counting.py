"""How many different contents a power cut may leave of a run, without a look at each.

What files share is gone through set by set. Under each such set a state is a choice of a size for
each file and then, for each page, of one of a few contents: a *box*, the product of these. States
in boxes with other paths or sizes differ. Boxes with the same paths and sizes overlap, from moment
to moment; the number of states in their union is counted page by page.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice, product
from math import prod
from typing import Final

from durability.crash.content import DIGEST_BYTES
from durability.crash.file_choices import FileChoices, shared
from durability.crash.moment import Moment
from durability.crash.operations import Data
from durability.trace.kill_order import PAGE_BYTES

_BOXES_MAX: Final = 20_000
"""How many boxes are looked at to count states exactly."""

_OPERATIONS_A_PAGE_MAX: Final = 10
_LINKED_MAX: Final = 64
"""How many contents are told apart of a file with several names."""

_GROUPS_MAX: Final = 2_000
"""How many groups of boxes are told apart to count their union exactly."""

_Page = frozenset[bytes]
_Pages = tuple[_Page, ...]
_Key = tuple[tuple[bytes, bytes | int], ...]
"""For each path the size of the file, or what else there is."""


class StateCount:
    """Counts the states of the moments that it is given.

    `is_lower_bound` tells whether there may be more than `total`.
    """

    def __init__(self, boxes_max: int = _BOXES_MAX) -> None:
        self.is_lower_bound = False
        self._left = boxes_max
        self._boxes: defaultdict[_Key, set[_Pages]] = defaultdict(set)

    def add(self, moment: Moment) -> None:
        """Look at the states of a moment, as long as there are not too many boxes."""
        everything_shared = shared(moment)
        for chosen in moment.legal(everything_shared):
            kept = moment.with_needed(chosen)
            allowed = moment.without(everything_shared & ~chosen)
            boxes = self._boxes_of(moment, moment.paths(chosen), kept, allowed)
            for key, pages in islice(boxes, self._left + 1):
                if not self._left:
                    self.is_lower_bound = True
                    return
                self._left -= 1
                self._boxes[key].add(pages)

    def _boxes_of(
        self, moment: Moment, paths: list[tuple[bytes, int]], kept: int, allowed: int
    ) -> Iterator[tuple[_Key, _Pages]]:
        names = Counter(node for _, node in paths if node > 0)
        choices: dict[int, list[tuple[int, _Pages]]] = {}
        for node, count in names.items():
            found = set(self._choices_of(moment, FileChoices(moment, node, kept, allowed), node))
            choices[node] = list(found if count == 1 else self._one_by_one(found))
        for chosen in product(*choices.values()):
            files = dict(zip(choices, chosen, strict=True))
            key = tuple(
                (path, files[node][0] if node > 0 else moment.described(node))
                for path, node in paths
            )
            yield key, tuple(page for _, node in paths if node > 0 for page in files[node][1])

    def _choices_of(
        self, moment: Moment, choices: FileChoices, file: int
    ) -> Iterator[tuple[int, _Pages]]:
        """Yield the sizes that a file may have, each with what may be in its pages."""
        for sized in choices.sized():
            seen = moment.file(file, sized)
            pages = [
                self._page({seen[at : at + PAGE_BYTES]}) for at in range(0, len(seen), PAGE_BYTES)
            ]
            parts: defaultdict[int, int] = defaultdict(int)
            for part in choices.parts(sized):
                first = next(moment.chosen(part))
                assert isinstance(first, Data)
                parts[first.offset // PAGE_BYTES] |= part
            for number, part in parts.items():
                if number < len(pages):
                    pages[number] = self._page_of(moment, file, sized, part, number)
            yield len(seen), tuple(pages)

    def _page_of(self, moment: Moment, file: int, sized: int, part: int, number: int) -> _Page:
        """Return what may be in a page that some data was written to."""
        start = number * PAGE_BYTES
        if part.bit_count() > _OPERATIONS_A_PAGE_MAX:
            self.is_lower_bound = True
            sets: Iterator[int] = iter((0, part))
        else:
            sets = moment.legal(part)
        return self._page(
            {moment.file(file, sized | chosen)[start : start + PAGE_BYTES] for chosen in sets}
        )

    @staticmethod
    def _page(contents: set[bytes]) -> _Page:
        return frozenset(blake2b(one, digest_size=DIGEST_BYTES).digest() for one in contents)

    def _one_by_one(self, choices: set[tuple[int, _Pages]]) -> Iterator[tuple[int, _Pages]]:
        """Yield what a file with several names may hold, which is the same under each of them."""
        for size, pages in choices:
            contents = product(*pages)
            for content in islice(contents, _LINKED_MAX):
                yield size, tuple(frozenset({digest}) for digest in content)
            if next(contents, None) is not None:
                self.is_lower_bound = True

    def total(self) -> int:
        """Return how many states there are, or at least are."""
        return sum(self._union(list(boxes)) for boxes in self._boxes.values())

    def _union(self, boxes: list[_Pages]) -> int:
        """Return how many states lie in at least one of some boxes of equal paths and sizes.

        Page by page, states are counted together whose beginning lies in the same boxes.
        """
        found = Counter({frozenset(range(len(boxes))): 1})
        for column in zip(*boxes, strict=True):
            following: Counter[frozenset[int]] = Counter()
            for among, states in found.items():
                for group, contents in _groups(column, among).items():
                    following[group] += states * contents
            if len(following) > _GROUPS_MAX:
                self.is_lower_bound = True
                return max(prod(len(page) for page in box) for box in boxes)
            found = following
        return found.total()


def _groups(column: _Pages, among: frozenset[int]) -> dict[frozenset[int], int]:
    """Return, for each group of boxes, how many contents of one page lie in exactly these."""
    pages = {column[box] for box in among}
    if len(pages) == 1:
        return {among: len(pages.pop())}
    holders: defaultdict[bytes, set[int]] = defaultdict(set)
    for box in among:
        for digest in column[box]:
            holders[digest].add(box)
    return Counter(frozenset(group) for group in holders.values())
