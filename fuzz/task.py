"""What a fuzzing process is asked to do: the first argument of `fuzz.engine`, in JSON."""

from typing import Final, Literal

import msgspec

Mutator = Literal["struct", "default"]

MUTATORS: Final[tuple[Mutator, ...]] = ("struct", "default")

SHRINK_CPU_S: Final = 20.0
"""How much CPU time it may take to make one finding small."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A target, a mutator, the file to report in, and when to end.

    The process ends by itself with so many kinds of findings, and at the first input after `cpu_s`
    seconds of CPU time. After `cpu_s_max` it is killed, whatever it does.
    """

    target: str
    mutator: Mutator
    report: str
    findings_max: int = 20
    cpu_s: float | None = None
    cpu_s_max: int | None = None
