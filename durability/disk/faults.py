"""The faults of a disk, by name: what each is, and whom it is for."""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from durability.errors import UsageError
from durability.targets.contract import Target

Family = Literal["call", "lying", "rot"]
"""A call fails in the run; syncs lie, and then the power is cut; what is at rest gets damaged."""

_LIST: Final = "`--fault list` prints them"


Mechanism = Literal["auto", "memory", "seccomp"]
"""Where calls fail: on a disk of ours where that can be, there alone, or by the supervisor."""


class DiskFault(NamedTuple):
    """One way in which a disk may fail, in a line; `in_memory` where a disk of ours can do it."""

    family: Family
    in_memory: bool
    summary: str


FAULTS: Final[Mapping[str, DiskFault]] = {
    "write-eio": DiskFault("call", True, "a change of a file or a name fails with EIO"),
    "write-enospc": DiskFault("call", True, "a change that needs room fails with ENOSPC, once"),
    "write-short": DiskFault("call", False, "a write takes half of its data, and says so"),
    "disk-full": DiskFault("call", True, "nothing can grow from some call on, until a restart"),
    "sync-eio-kept": DiskFault("call", True, "a sync fails once; ext4, XFS: the cache keeps all"),
    "sync-eio-reverted": DiskFault("call", True, "a sync fails once; btrfs: the cache goes back"),
    "sync-stalled": DiskFault("call", False, "a sync does not return as long as the run lasts"),
    "lying-disk": DiskFault("lying", False, "some syncs in a row persist nothing; a power cut"),
    "flipped": DiskFault("rot", False, "a bit is flipped, at rest"),
    "stale": DiskFault("rot", False, "a sector is what it was before it was written again"),
    "swapped": DiskFault("rot", False, "two blocks of a file have changed places"),
    "misdirected": DiskFault("rot", False, "a block of one file was written into another"),
}


LABELS: Final[Mapping[Family, str]] = {
    "call": "failing disk",
    "lying": "lying disk, no crash",
    "rot": "rot, no crash",
}
"""What a violation says that it took."""


def chosen(target: Target, mechanism: Mechanism, names: str | None) -> tuple[str, ...]:
    """Return the faults that NAME[,NAME] asks for; None: those that a program must survive.

    A drive that lies, and rot, can be told only by who keeps checksums: of other programs than the
    built-in node that is asked on demand only, and of those whose recovery shows no items never:
    what it says of an item that is missing is what it says of one that is wrong. Raises UsageError.
    """
    if names is None:
        knows = target.data == "raft"
        return tuple(
            name
            for name, fault in FAULTS.items()
            if (fault.in_memory if mechanism == "memory" else knows or fault.family == "call")
        )
    asked = tuple(dict.fromkeys(names.split(",")))
    for name in asked:
        if name not in FAULTS:
            raise UsageError(f"no fault of a disk is called {name!r}: {_LIST}")
        if FAULTS[name].family != "call" and target.speech.recovered is None:
            raise UsageError(
                f"{target.name} prints no items when it recovers, so whether it refuses damage or"
                f" serves it nobody can tell: no --fault {name}"
            )
    return asked
