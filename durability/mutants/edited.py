"""A copy of one of our packages with one edit in it, for a process of its own to import.

The copy stands in a folder that goes first on that process's path; everything else it imports from
where this process has it.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from durability.errors import UsageError


def source(path: str) -> str:
    """Read a source file of a package, named like `raft/peer.py`."""
    return (_package(_name(path)).parent / path).read_text(encoding="utf-8")


@contextmanager
def edited_package(path: str, content: str) -> Iterator[Path]:
    """Make a folder with a copy of a package in which the file `path` has this content."""
    name = _name(path)
    with TemporaryDirectory(prefix="raft-edited-") as root:
        shutil.copytree(
            _package(name), Path(root, name), ignore=shutil.ignore_patterns("__pycache__")
        )
        Path(root, path).write_text(content, encoding="utf-8")
        yield Path(root)


def edit(path: str, old: str, new: str) -> str:
    """Return the content of a source file with `old`, which occurs there once, replaced.

    Raises:
        UsageError: it does not: the source has moved on, and the defect has to follow.
    """
    content = source(path)
    if content.count(old) != 1:
        raise UsageError(f"{path} has {content.count(old)} places like {old!r}; one is needed")
    return content.replace(old, new)


def environment(root: Path) -> dict[str, str]:
    """Return the environment of a process that is to import the edited package."""
    ours = _package("durability").parent
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(ours)])}


def _name(path: str) -> str:
    return path.partition("/")[0]


def _package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])
