"""What can go wrong in fuzzing itself.

    FuzzError
    ├── UsageError              the command line, or a file that it names, is wrong (exit 2)
    └── InconclusiveError       nothing was shown, neither way (exit 3)
        ├── MissingToolError    what it takes is not installed
        └── EmptyRunError       nothing was executed, instrumented or reached

A finding is not an error: it is a result, and travels as one.
"""

from enum import IntEnum
from typing import ClassVar


class ExitStatus(IntEnum):
    """What a command says to the shell; a finding wins over an inconclusive part."""

    HELD = 0
    VIOLATION = 1
    USAGE = 2
    INCONCLUSIVE = 3


class FuzzError(Exception):
    """The root: each error says what happened and what to do about it, in one text."""

    exit_status: ClassVar[ExitStatus] = ExitStatus.INCONCLUSIVE


class UsageError(FuzzError):
    """The command line, or a file that it names, is wrong."""

    exit_status = ExitStatus.USAGE


class InconclusiveError(FuzzError):
    """Nothing was shown, neither that the laws hold nor that one is broken."""


class MissingToolError(InconclusiveError):
    """What it takes is not installed here."""


class EmptyRunError(InconclusiveError):
    """A run that looks like a success and is none: it executed, instrumented or reached nothing."""
