"""What was promised at any moment of a course: by the whole lines that were printed by then."""

import copy

from durability.audit.promises import Heard, Promises
from durability.campaign.course import Course
from durability.targets.contract import Target


class Hearing:
    """The promises of a course; best asked for in its order."""

    def __init__(self, target: Target, course: Course, later: frozenset[str]) -> None:
        """Prepare; `later` as for `Ledger`."""
        self._course = course
        self._lines = list(course.trace.lines())
        self._ends = [at + 1 for at, byte in enumerate(course.output()) if byte == ord("\n")]
        self._heard = 0
        self._at_first = Promises.of(target, course.before, later)
        self._promises = self._at_first

    def until(self, printed_bytes: int) -> Promises:
        """Return what the first so many bytes of output promise; not to be changed."""
        if self._heard and printed_bytes < self._ends[self._heard - 1]:
            self._heard = 0
            self._promises = self._at_first
        end = self._heard
        while end < len(self._ends) and self._ends[end] <= printed_bytes:
            end += 1
        if end > self._heard:
            # Those handed out before stay as they are.
            self._promises = copy.deepcopy(self._promises)
            self._promises.hear(Heard(self._course.of, self._lines[self._heard : end]))
            self._heard = end
        return self._promises
