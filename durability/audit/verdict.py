"""A verdict, and what several of them amount to."""

from collections.abc import Iterable
from typing import Literal

Verdict = Literal["held", "violation", "inconclusive"]


def fold(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of the whole: a violation wins over an inconclusive part, that over held.

    Nothing at all is held; whether nothing is enough is for the caller to judge.
    """
    seen = set(verdicts)
    if "violation" in seen:
        return "violation"
    return "inconclusive" if "inconclusive" in seen else "held"
