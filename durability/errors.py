"""What can go wrong outside of what is tested, by whose hands it is in.

    DurabilityError
    ├── UsageError              the command line, or a file it names, is wrong (exit 2)
    │   ├── TargetError         there is no such target, or its description cannot be used
    │   └── UnreadableError     a data directory, trace or case that cannot be read
    │       └── HistoryError    a recorded history is none, or not well-formed
    └── InconclusiveError       nothing was shown, neither way (exit 3)
        ├── MechanismError      this machine cannot do it: kernel, permission, missing tool
        ├── VacuousError        the workload promised nothing that could have been lost
        └── CannotKeepError     a finding cannot be written to disk; it is a finding all the same

A violation is not an error: it is a result, and travels as one.
"""

from enum import IntEnum
from typing import ClassVar


class ExitStatus(IntEnum):
    """What a command says to the shell; a violation wins over an inconclusive part."""

    HELD = 0
    VIOLATION = 1
    USAGE = 2
    INCONCLUSIVE = 3


class DurabilityError(Exception):
    """The root: each error says what happened and what to do about it, in one text."""

    exit_status: ClassVar[ExitStatus] = ExitStatus.INCONCLUSIVE


class UsageError(DurabilityError):
    """The command line, or a file it names, is wrong."""

    exit_status = ExitStatus.USAGE


class TargetError(UsageError):
    """There is no such target, or its description cannot be used."""


class UnreadableError(UsageError):
    """A data directory, a trace or a case is missing or is not what it was taken for."""


class HistoryError(UnreadableError):
    """A recorded history is none, or not well-formed: in which file, on which line, and why."""

    def __init__(self, path: str, line: int, reason: str) -> None:
        super().__init__(path, line, reason)
        self.path = path
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


class InconclusiveError(DurabilityError):
    """Nothing was shown, neither that it holds nor that it breaks."""


class MechanismError(InconclusiveError):
    """This machine cannot do it: the kernel refuses, or a tool is missing."""


class VacuousError(InconclusiveError):
    """The workload promised nothing that could have been lost."""


class CannotKeepError(InconclusiveError):
    """A finding cannot be written to disk; it is a finding all the same."""
