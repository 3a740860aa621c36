"""Where the inputs are: one folder a target, and in it `regressions/` with what once was a finding.

In a checkout that is `corpora/`; an installed package carries a copy, to which nothing is added:
findings go to `durability-findings/fuzz/` in the working directory then.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

from durability.errors import UsageError
from fuzz.finding import file_name

REGRESSIONS: Final = "regressions"

_PACKAGE: Final = Path(__file__).parent
_FINDINGS: Final = Path("durability-findings", "fuzz")


class Corpus:
    """The inputs of every target, read from some folders and added to in one of them."""

    def __init__(self, roots: Iterable[Path], findings: Path) -> None:
        self.roots = tuple(roots)
        self.findings = findings

    @classmethod
    def find(cls, directory: str | None = None) -> Self:
        """Use `directory` if one is given, else the checkout's or the installed package's.

        Raises:
            UsageError: there is no such directory.
        """
        if directory is not None:
            if not os.path.isdir(directory):
                raise UsageError(f"{directory} is no directory; make it, or leave --corpus out")
            return cls([Path(directory)], Path(directory))
        installed = _PACKAGE / "corpora"
        if installed.is_dir():
            return cls([installed, _FINDINGS], _FINDINGS)
        checkout = _PACKAGE.parent / "corpora"
        return cls([checkout], checkout)

    def directories(self, target: str) -> list[Path]:
        """List the folders with inputs of a target; libFuzzer reads what is inside of them too."""
        return [root / target for root in self.roots if (root / target).is_dir()]

    def files(self, target: str) -> list[Path]:
        """List all inputs of a target, regressions last."""
        files: list[Path] = []
        for directory in self.directories(target):
            for inside in (directory, directory / REGRESSIONS):
                if inside.is_dir():
                    files += sorted(path for path in inside.iterdir() if path.is_file())
        return files

    def keep(self, target: str, data: bytes) -> Path:
        """Store a finding where replay finds it, under its SHA-1."""
        directory = self.findings / target / REGRESSIONS
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / file_name(data)
        path.write_bytes(data)
        return path
