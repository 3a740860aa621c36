"""What a run had promised at any moment of it: by the whole lines that it had printed by then."""

import copy

from durability.audit.promises import Heard, Promises
from durability.targets.contract import Target
from durability.trace.records import Output
from durability.trace.trace import Trace


class Hearing:
    """The promises of a trace's run; best asked for in the order of the run."""

    def __init__(self, target: Target, trace: Trace, later: frozenset[str]) -> None:
        """Prepare; `later` as for `Ledger`."""
        self._target = target
        self._later = later
        self._lines = list(trace.lines())
        said = b"".join(record.data for record in trace.records if isinstance(record, Output))
        self._ends = [at + 1 for at, byte in enumerate(said) if byte == ord("\n")]
        self._heard = 0
        self._promises = Promises(target, later)

    def until(self, printed_bytes: int) -> Promises:
        """Return what the first so many bytes of output promise; not to be changed."""
        if self._heard and printed_bytes < self._ends[self._heard - 1]:
            self._heard = 0
            self._promises = Promises(self._target, self._later)
        end = self._heard
        while end < len(self._ends) and self._ends[end] <= printed_bytes:
            end += 1
        if end > self._heard:
            # Those handed out before stay as they are.
            self._promises = copy.deepcopy(self._promises)
            self._promises.hear(Heard("run", self._lines[self._heard : end]))
            self._heard = end
        return self._promises
