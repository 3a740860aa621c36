"""Whether a content is one that a power cut may leave at a moment, without trying every set.

What files share is tried set by set: in a log there are as many as it has entries. For each of
these sets the files are independent of each other, and so are the pages of a file once its size is
chosen.
"""

from durability.crash.content import Content
from durability.crash.file_choices import FileChoices, shared
from durability.crash.moment import Moment
from durability.crash.operations import Data


def explain(moment: Moment, content: Content) -> int | None:
    """Return a legal set of operations that leaves this content; None where there is none."""
    search = _Search(moment, content)
    for chosen in moment.legal(search.shared):
        kept = search.complete(chosen)
        if kept is not None:
            return kept
    return None


class _Search:
    """Looks for the rest of a set whose part in `shared` is given."""

    def __init__(self, moment: Moment, content: Content) -> None:
        self.shared = shared(moment)
        self._moment = moment
        self._content = content
        self._names = content.files.keys() | content.links.keys() | content.directories

    def complete(self, chosen: int) -> int | None:
        """Return a set with exactly these of the shared operations."""
        paths = self._moment.paths(chosen)
        if len(paths) != len(self._names) or any(path not in self._names for path, _ in paths):
            return None
        kept = self._moment.with_needed(chosen)
        allowed = self._moment.without(self.shared & ~chosen)
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
        choices = FileChoices(self._moment, file, kept, allowed)
        for sized in choices.sized():
            if len(self._moment.file(file, sized)) != len(seen):
                continue
            found = sized
            for part in choices.parts(choices.data(sized)):
                matching = self._matching(file, seen, sized, part)
                if matching is None:
                    break
                found |= matching
            else:
                if self._moment.file(file, found) == seen:
                    return found
        return None

    def _matching(self, file: int, seen: bytes, sized: int, part: int) -> int | None:
        """Return which operations of a part give what is seen where they wrote."""
        wrote = [one for one in self._moment.chosen(part) if isinstance(one, Data)]
        start = min(one.offset for one in wrote)
        end = max(one.end for one in wrote)
        for chosen in self._moment.legal(part):
            if self._moment.file(file, sized | chosen)[start:end] == seen[start:end]:
                return chosen
        return None
