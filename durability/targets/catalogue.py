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
from typing import Any, Final

from durability.errors import DurabilityError, TargetError
from durability.targets import cache
from durability.targets.contract import Target
from durability.targets.program import load_program

_BUILT_IN: Final[Mapping[str, str]] = {
    "reference": "durability.targets.reference:target",
    "sqlite-rollback": "durability.targets.sqlite:rollback",
    "sqlite-wal": "durability.targets.sqlite:wal",
}
"""Functions without arguments. What a target needs is imported when it is asked for."""

_SERVERS: Final[Mapping[str, str]] = {
    "etcd": "durability.targets.etcd",
    "nats": "durability.targets.nats",
}
"""Modules, each with a `PACKAGE` to install and a function `target(server, version)`."""


@dataclass(frozen=True)
class Availability:
    """Whether a known target can be tested on this machine; `why` is empty where it can."""

    name: str
    available: bool
    version: str
    why: str


def find(name_or_path: str) -> Target:
    """Return a known target by its name, else the program that a `.toml` file describes.

    Raises TargetError where it is neither, or where the description cannot be used, and
    MechanismError where it is not installed.
    """
    name, _, version = name_or_path.partition("@")
    if name_or_path in _BUILT_IN:
        module, _, function = _BUILT_IN[name].partition(":")
        return _made(getattr(import_module(module), function)())
    if name in _SERVERS:
        return _server(name, version)
    if name_or_path.endswith(".toml"):
        return load_program(name_or_path)
    raise _unknown(name_or_path)


def available() -> list[Availability]:
    """Say of each known target whether it can be tested here, and if not, why."""
    return [_availability(name) for name in (*_BUILT_IN, *_installed())]


def install(name_and_version: str) -> str:
    """Put a server, as in `etcd@3.4.23`, into the cache; return the path of its program.

    Raises TargetError where nothing of that name can be installed, MechanismError where it fails.
    """
    name, _, version = name_and_version.partition("@")
    if name not in _SERVERS:
        raise _unknown(name_and_version)
    package = import_module(_SERVERS[name]).PACKAGE
    return cache.install(package, version or package.default_version)


def _server(name: str, version: str) -> Target:
    module = import_module(_SERVERS[name])
    if os.sep not in version:
        version = version or module.PACKAGE.default_version
        return _made(module.target(cache.server_of(module.PACKAGE, version), version))
    if not os.path.isabs(version) or not os.access(version, os.X_OK):
        raise TargetError(f"{name}@{version}: expected the absolute path of a program")
    return _made(module.target(version, version))


def _installed() -> Iterator[str]:
    """Yield the names of servers: each installed version, the default one in any case."""
    for name, module in _SERVERS.items():
        package = import_module(module).PACKAGE
        yield name
        for version in cache.installed_versions(package):
            if version != package.default_version:
                yield f"{name}@{version}"


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
        f" (known: {', '.join(known)}, or the path of a .toml file)"
    )


def _made(target: Any) -> Target:
    """Return what a module made, as the type that it is."""
    assert isinstance(target, Target)
    return target
