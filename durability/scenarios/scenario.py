"""What a scenario is given, and what it gives back."""

import msgspec

from durability.audit.verdict import Verdict
from durability.audit.violation import Violation


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What a scenario runs under: `jobs` processes, and `budget_s` where that is not None.

    Data directories are made in `directory`; where a disk is to be measured, in `disk`. Violations
    are kept in `findings`.
    """

    seed: int
    jobs: int
    budget_s: float | None
    directory: str
    disk: str
    findings: str


class Landing(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence that a fault took effect: in `landed` of `ordered` times, as `evidence` shows."""

    fault: str
    ordered: int
    landed: int
    evidence: str


class Outcome(msgspec.Struct, kw_only=True):
    """What a scenario found; `figures` are its own. `reasons` say why it may show nothing."""

    landing: list[Landing]
    figures: dict[str, int | float | str]
    violations: list[Violation] = []
    reasons: list[str] = []
    notes: list[str] = []

    @property
    def verdict(self) -> Verdict:
        """A violation wins over an inconclusive part."""
        if self.violations:
            return "violation"
        return "inconclusive" if self.reasons else "held"
