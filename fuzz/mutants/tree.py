"""A copy of the package under test with one edit in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from durability.errors import UsageError


def source(path: str) -> str:
    """Read a source file of the package, named like `raft/peer.py`."""
    return (_package() / Path(path).relative_to("raft")).read_text(encoding="utf-8")


@contextmanager
def edited_package(path: str, content: str) -> Iterator[Path]:
    """Make a folder with a copy of `raft` in which the file `path` has this content."""
    with TemporaryDirectory(prefix="raft-fuzz-") as root:
        shutil.copytree(
            _package(), Path(root, "raft"), ignore=shutil.ignore_patterns("__pycache__")
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


def _package() -> Path:
    spec = find_spec("raft")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])
