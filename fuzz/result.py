"""What a command found, as a document, an exit status, and lines for a person."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from fuzz.errors import ExitStatus
from fuzz.finding import Finding


@dataclass
class Result:
    """A finished command; `reasons` say why a part of it has shown nothing.

    `figures` are the command's own keys of its JSON.
    """

    command: str
    seed: int | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    findings: Sequence[Finding] = ()
    reasons: list[str] = field(default_factory=list)
    elapsed_s: float = 0.0
    _began: float = field(default_factory=time.monotonic, repr=False)

    def stop_clock(self) -> None:
        """Set `elapsed_s` to the time since this was made."""
        self.elapsed_s = time.monotonic() - self._began

    @property
    def verdict(self) -> Literal["held", "violation", "inconclusive"]:
        """A finding wins over an inconclusive part."""
        if self.findings:
            return "violation"
        return "inconclusive" if self.reasons else "held"

    @property
    def exit_status(self) -> ExitStatus:
        """What the command says to the shell."""
        return {
            "held": ExitStatus.HELD,
            "violation": ExitStatus.VIOLATION,
            "inconclusive": ExitStatus.INCONCLUSIVE,
        }[self.verdict]

    def document(self) -> dict[str, Any]:
        """Return the JSON object."""
        findings = msgspec.to_builtins(list(self.findings))
        return {
            "command": self.command,
            "verdict": self.verdict,
            "seed": self.seed,
            "elapsed_s": round(self.elapsed_s, 3),
            **self.figures,
            "crashes": findings,
            "violations": [
                {key: finding[key] for key in ("kind", "invariant", "message", "reproduce")}
                for finding in findings
            ],
            "reasons": self.reasons,
        }

    def lines(self) -> Iterator[str]:
        """Yield what a person reads last: each finding with its command line, and the verdict."""
        for finding in self.findings:
            yield f"{finding.target}: {finding.message}"
            yield f"  at         {finding.place}"
            yield f"  must hold  {finding.invariant}"
            yield f"  reproduce  {finding.reproduce}"
        for reason in self.reasons:
            yield f"inconclusive: {reason}"
        yield self.verdict
