"""A finished command's result: the one object that every form of report is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from durability.audit.verdict import Verdict
from durability.audit.violation import Violation
from durability.crash.models import Model
from durability.errors import ExitStatus, UnreadableError
from durability.report.plot import Plot

_EXIT = {
    "held": ExitStatus.HELD,
    "violation": ExitStatus.VIOLATION,
    "inconclusive": ExitStatus.INCONCLUSIVE,
}


@dataclass
class Result:
    """What a command found.

    `figures` are the command's own keys of its JSON, numbers and lists; `reasons` say why a part is
    inconclusive; `notes` are what a reader must know to understand the figures; `known` are
    violations that a baseline lists and that therefore do not fail the run. `misused` says that one
    of the reasons is a wrong command line, or a wrong file that it names. `program` is whose
    command it is. `plots` are shown by the page alone.
    """

    command: str
    seed: int | None = None
    elapsed_s: float = 0.0
    figures: Mapping[str, Any] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    known: list[Violation] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    misused: bool = False
    program: str = "durability"
    plots: list[Plot] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """A violation wins over an inconclusive part."""
        if self.violations:
            return "violation"
        return "inconclusive" if self.reasons or self.misused else "held"

    @property
    def exit_status(self) -> ExitStatus:
        """What the command says to the shell; wrong usage wins over what is inconclusive."""
        if self.misused and not self.violations:
            return ExitStatus.USAGE
        return _EXIT[self.verdict]

    def document(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {
            "command": self.command,
            "verdict": self.verdict,
            "exit_status": self.exit_status,
            "seed": self.seed,
            "elapsed_s": round(self.elapsed_s, 3),
            **self.figures,
            "violations": msgspec.to_builtins(self.violations),
            "known": msgspec.to_builtins(self.known),
            "reasons": self.reasons,
            "notes": self.notes,
        }

    def set_aside(self, baseline: "Baseline") -> None:
        """Move the violations that a baseline knows out of the verdict."""
        self.known += [found for found in self.violations if baseline.knows(found)]
        self.violations = [found for found in self.violations if not baseline.knows(found)]


class Baseline(msgspec.Struct):
    """Known findings: the JSON of an earlier run, or any object with such `violations`.

    A run with a baseline is one for the next: what it has set aside stays known.
    """

    violations: list[Violation]
    known: list[Violation] = []

    @classmethod
    def load(cls, path: str) -> "Baseline":
        """Read a baseline. Raises UnreadableError."""
        try:
            with open(path, "rb") as file:
                return msgspec.json.decode(file.read(), type=cls)
        except OSError as error:
            raise UnreadableError(f"{path}: {error.strerror}") from error
        except msgspec.MsgspecError as error:
            raise UnreadableError(f"{path}: not the JSON of an earlier run: {error}") from error

    def knows(self, violation: Violation) -> bool:
        """Tell whether the same guarantee, broken by the same subject, is listed.

        Where it was shown by a tear, one that is coarser is news: a store that is known to accept
        torn bytes must not hide that it now loses items between two calls. Likewise a more
        realistic persistence model, and more than any of these a kill that was made. Position and
        message differ from run to run, and do not count.
        """
        return any(
            (known.kind, known.subject) == (violation.kind, violation.subject)
            and _rarity(violation) >= _rarity(known)
            for known in (*self.violations, *self.known)
        )


def _rarity(violation: Violation) -> tuple[int, int]:
    """Return a violation's places among the models and among the tears, what is likely first.

    What neither a model nor a tear has shown needs none.
    """
    model = violation.strongest_model
    return (
        0 if model is None else 1 + Model.named(model).rarity,
        ("none", "page", "byte").index(violation.tear or "none"),
    )
