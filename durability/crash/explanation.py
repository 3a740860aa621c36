"""Whether a content is one that a power cut may leave at a moment, without trying every set.

Changes of names and what `joins` the log are tried set by set: in a log there are as many as it has
entries. For each of these sets the files are independent of each other, and so are the pages of a
file once its size is chosen.
"""

from collections.abc import Iterator

from durability.crash.content import Content
from durability.crash.moment import Moment, bits
from durability.crash.operations import Data, Grow, Names, Operation, Shift, Shrink


def explain(moment: Moment, content: Content) -> int | None:
    """Return a legal set of operations that leaves this content; None where there is none."""
    search = _Search(moment, content)
    for shared in moment.legal(search.shared):
        kept = search.complete(shared)
        if kept is not None:
            return kept
    return None


class _Search:
    """Looks for the rest of a set whose part in `shared` is given."""

    def __init__(self, moment: Moment, content: Content) -> None:
        self._moment = moment
        self._content = content
        self._names = content.files.keys() | content.links.keys() | content.directories
        self.shared = sum(
            1 << at
            for at, operation in enumerate(moment.pending)
            if isinstance(operation, Names) or operation.joins
        )

    def complete(self, shared: int) -> int | None:
        """Return a set with exactly these of the shared operations."""
        paths = self._moment.paths(shared)
        if len(paths) != len(self._names) or any(path not in self._names for path, _ in paths):
            return None
        kept = self._moment.with_needed(shared)
        allowed = self._moment.without(self.shared & ~shared)
        for path, node in paths:
            if node <= 0:
                continue
            seen = self._content.files.get(path)
            found = None if seen is None else self._complete_file(node, seen, kept, allowed)
            if found is None:
                return None
            kept = found
        return kept if self._moment.state(kept).content == self._content else None

    def _complete_file(self, file: int, seen: bytes, kept: int, allowed: int) -> int | None:
        """Add operations on one file to a set, so that a reader sees this of it."""
        free = self._moment.of_file(file) & allowed
        for sized in self._sized(file, len(seen), kept, free):
            found = sized
            for part in self._parts(self._possible(free & ~sized, sized)):
                matching = self._matching(file, seen, sized, part)
                if matching is None:
                    break
                found |= matching
            else:
                if self._moment.file(file, found) == seen:
                    return found
        return None

    def _sized(self, file: int, size: int, kept: int, free: int) -> Iterator[int]:
        """Yield sets that give a file its size."""
        moment = self._moment
        cutting = _of(moment, free & ~kept, Shrink, Shift)
        growing = [0, *(1 << at for at in bits(_of(moment, free & ~kept, Grow)))]
        for cut in moment.legal(cutting):
            for grown in growing:
                sized = moment.with_needed(kept | cut | grown)
                if len(moment.file(file, sized)) == size:
                    yield sized

    def _possible(self, free: int, sized: int) -> int:
        """Leave out what needs a truncation or a shift that is not there."""
        moment = self._moment
        absent = _of(moment, moment.everything() & ~sized, Shrink, Shift)
        return sum(1 << at for at in bits(free) if not moment.with_needed(1 << at) & absent)

    def _parts(self, free: int) -> Iterator[int]:
        """Divide data into parts that neither depend on each other nor overlap."""
        moment = self._moment
        parts: list[tuple[int, int, int]] = []
        for at in bits(_of(moment, free, Data)):
            operation = moment.pending[at]
            assert isinstance(operation, Data)
            start, end, mask = operation.offset, operation.end, 1 << at
            needed = moment.with_needed(mask) & free
            apart = []
            for part in parts:
                if part[2] & needed or (part[0] < end and start < part[1]):
                    start, end = min(start, part[0]), max(end, part[1])
                    mask |= part[2]
                else:
                    apart.append(part)
            parts = [*apart, (start, end, mask)]
        return (mask for _, _, mask in parts)

    def _matching(self, file: int, seen: bytes, sized: int, part: int) -> int | None:
        """Return which operations of a part give what is seen where they wrote."""
        wrote = [one for one in self._moment.chosen(part) if isinstance(one, Data)]
        start = min(one.offset for one in wrote)
        end = max(one.end for one in wrote)
        for chosen in self._moment.legal(part):
            if self._moment.file(file, sized | chosen)[start:end] == seen[start:end]:
                return chosen
        return None


def _of(moment: Moment, mask: int, *kinds: type[Operation]) -> int:
    """Return the operations of some kinds in a set."""
    return sum(1 << at for at in bits(mask) if isinstance(moment.pending[at], kinds))
