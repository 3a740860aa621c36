"""A verdict: what an audit or a whole command amounts to."""

from typing import Literal

Verdict = Literal["held", "violation", "inconclusive"]
