"""What one fault has come to, over all the runs and states that met it."""

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from durability.audit.judgement import Judgement
from durability.audit.violation import Violation

Progress = Callable[[bool, bool], None]
"""Told of each run, or state: whether a fault landed, and whether that broke something."""


class Outcome(msgspec.Struct):
    """How often a fault landed, how many of these broke something, and what, each kind once.

    `possible` counts where it could have been met, where that is known. `acknowledged` counts what
    the runs had promised. `faults` are reasons why one shows nothing. `ends` counts how damage was
    met, for faults that are no errors. `cut_off` counts the runs with a held sync that ended at
    their deadline. `time_was_up` says that something was not begun for want of time.
    """

    fired: int = 0
    possible: int | None = None
    violations: int = 0
    acknowledged: int = 0
    found: dict[str, Violation] = {}
    faults: list[str] = []
    ends: dict[str, int] = {}
    cut_off: int = 0
    time_was_up: bool = False

    def take(self, judgements: Sequence[Judgement]) -> None:
        """Count what one run came to."""
        self.add(
            [found for judgement in judgements for found in judgement.violations],
            max((judgement.acknowledged for judgement in judgements), default=0),
            [fault for judgement in judgements for fault in judgement.faults],
        )

    def add(
        self, violations: Sequence[Violation], acknowledged: int, faults: Sequence[str]
    ) -> None:
        """Count what one run, or one state, came to."""
        self.violations += bool(violations)
        for violation in violations:
            self.found.setdefault(violation.kind, violation)
        self.acknowledged += acknowledged
        self.faults += [fault for fault in faults if fault not in self.faults]

    def ended(self, how: str) -> None:
        """Count how one piece of damage was met."""
        self.ends = dict(Counter(self.ends) + Counter([how]))

    def shortfall(self, asked: int | None) -> str:
        """Say what was not met of so many, None: of all there are; mostly nothing."""
        if self.possible is None:
            return f"time was up after {self.fired}" if self.time_was_up else ""
        wanted = self.possible if asked is None else min(asked, self.possible)
        if self.fired >= wanted:
            return ""
        if self.time_was_up:
            return f"time was up after {self.fired} of {wanted}"
        return f"{wanted - self.fired} of {wanted} were not met: runs differ"

    def figures(self) -> dict[str, int]:
        """Return what the JSON has."""
        possible = {} if self.possible is None else {"possible": self.possible}
        return {"fired": self.fired, "violations": self.violations, **possible, **self.ends}

    def reasons(self) -> list[str]:
        """Return why nothing is shown."""
        if not self.fired:
            return ["nothing of the run met it", *self.faults]
        if not self.acknowledged:
            return ["nothing was acknowledged", *self.faults]
        return self.faults
