"""The targets that are known by name, and how a name or a path becomes one."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Final

from durability.errors import DurabilityError, TargetError
from durability.targets import functions
from durability.targets.contract import Target
from durability.targets.program import load_program

# Modules, each with a function `target()`: what a target needs is imported when it is asked for.
_BUILT_IN: Final[Mapping[str, str]] = {
    "reference": "durability.targets.reference",
    "reference-batches": "durability.targets.reference_batches",
    "reference-follower": "durability.targets.reference_follower",
}


@dataclass(frozen=True)
class Availability:
    """Whether a known target can be tested on this machine; `why` is empty where it can."""

    name: str
    available: bool
    version: str
    why: str


def find(name_or_path: str) -> Target:
    """Return a known target by its name, a `.toml` file's program, or a store of two functions.

    Raises TargetError where it is neither, or where the description cannot be used.
    """
    if name_or_path in _BUILT_IN:
        return _built_in(name_or_path)
    if name_or_path.endswith(".toml"):
        return load_program(name_or_path)
    if functions.is_name(name_or_path):
        return functions.load(name_or_path)
    close = difflib.get_close_matches(name_or_path, _BUILT_IN)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    raise TargetError(
        f"no target is called {name_or_path!r}{meant}"
        f" (known: {', '.join(_BUILT_IN)}, or the path of a .toml file)"
    )


def available() -> list[Availability]:
    """Say of each known target whether it can be tested here, and if not, why."""
    return [_availability(name) for name in _BUILT_IN]


def _availability(name: str) -> Availability:
    own_version = version("raft-durability")
    try:
        _built_in(name)
    except DurabilityError as error:
        return Availability(name, available=False, version=own_version, why=str(error))
    return Availability(name, available=True, version=own_version, why="")


def _built_in(name: str) -> Target:
    target: Target = import_module(_BUILT_IN[name]).target()
    return target
