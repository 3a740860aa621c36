"""The targets that are known by name, and how a name or a path becomes one.

A foreign server has versions: `etcd` is its default one, `etcd@3.4.23` is another, and
`etcd@/path/of/etcd` a program that is here already.
"""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version as version_of
from typing import Final

from durability.errors import DurabilityError, TargetError
from durability.targets import cache, functions
from durability.targets.cache import Package
from durability.targets.contract import Target
from durability.targets.program import load_program

_BUILT_IN: Final[Mapping[str, str]] = {
    "reference": "durability.targets.reference:target",
    "reference-batches": "durability.targets.reference_batches:target",
    "reference-follower": "durability.targets.reference_follower:target",
    "sqlite-rollback": "durability.targets.sqlite:rollback",
    "sqlite-wal": "durability.targets.sqlite:wal",
}
"""Functions without arguments. What a target needs is imported when it is asked for."""

_SERVERS: Final[Mapping[str, str]] = {
    "etcd": "durability.targets.etcd:target",
    "etcd-bootstrap": "durability.targets.etcd:bootstrap",
    "nats": "durability.targets.nats:target",
}
"""Functions of the path of a server and its version, in modules that say what to install."""


@dataclass(frozen=True)
class Availability:
    """Whether a known target can be tested on this machine; `why` is empty where it can."""

    name: str
    available: bool
    version: str
    why: str


def find(name_or_path: str) -> Target:
    """Return a known target by its name, a `.toml` file's program, or a store of two functions.

    Raises TargetError where it is neither, or where the description cannot be used, and
    MechanismError where it is not installed.
    """
    name, _, version = name_or_path.partition("@")
    if name_or_path in _BUILT_IN:
        return _called(_BUILT_IN[name])
    if name in _SERVERS:
        server, version = _server(name, version)
        return _called(_SERVERS[name], server, version)
    if name_or_path.endswith(".toml"):
        return load_program(name_or_path)
    if functions.is_name(name_or_path):
        return functions.load(name_or_path)
    raise _unknown(name_or_path)


def lasting_name(name_or_path: str) -> str:
    """Return what a replay calls a target, wherever it is run."""
    is_path = name_or_path.endswith(".toml") or functions.is_name(name_or_path)
    return os.path.abspath(name_or_path) if is_path else name_or_path


def available() -> list[Availability]:
    """Say of each known target whether it can be tested here, and if not, why."""
    return [_availability(name) for name in (*_BUILT_IN, *_known_servers())]


def install(name_and_version: str) -> str:
    """Put a server, as in `etcd@3.4.23`, into the cache; return the path of its program.

    Raises TargetError where nothing of that name can be installed, MechanismError where it fails.
    """
    name, _, version = name_and_version.partition("@")
    if name not in _SERVERS:
        raise _unknown(name_and_version)
    package = _package(name)
    return cache.install(package, version or package.default_version)


def _server(name: str, version: str) -> tuple[str, str]:
    """Return the path of a server's program, and its version: where it is given by path, that."""
    if os.sep not in version:
        package = _package(name)
        version = version or package.default_version
        return cache.server_of(package, version), version
    if not os.path.isabs(version) or not os.access(version, os.X_OK):
        raise TargetError(f"{name}@{version}: expected the absolute path of a program")
    return version, version


def _known_servers() -> Iterator[str]:
    """Yield the names of servers: each installed version, the default one in any case."""
    for name in _SERVERS:
        yield name
        package = _package(name)
        for version in cache.installed_versions(package):
            if version != package.default_version:
                yield f"{name}@{version}"


def _package(name: str) -> Package:
    module, _, _ = _SERVERS[name].partition(":")
    package: Package = import_module(module).PACKAGE
    return package


def _called(named: str, *arguments: str) -> Target:
    module, _, function = named.partition(":")
    target: Target = getattr(import_module(module), function)(*arguments)
    return target


def _availability(name: str) -> Availability:
    try:
        version = find(name).version or version_of("raft-durability")
    except DurabilityError as error:
        return Availability(name, available=False, version="", why=str(error))
    return Availability(name, available=True, version=version, why="")


def _unknown(name: str) -> TargetError:
    known = (*_BUILT_IN, *_SERVERS)
    close = difflib.get_close_matches(name, known)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    return TargetError(
        f"no target is called {name!r}{meant}"
        f" (known: {', '.join(known)}, the path of a .toml file, or PATH.py:WORKLOAD:RECOVER)"
    )
