"""Which branches of the decoders the inputs of a corpus take, by coverage.py."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec

from durability.errors import InconclusiveError, MechanismError
from fuzz.campaign import PROJECT, environment
from fuzz.targets import TARGETS

_NO_READERS: Final = ("draw", "encode", "write", "_split", "apply")
"""Functions that decode nothing: what draws, what writes, what a decoded command does."""


class ModuleCoverage(msgspec.Struct, frozen=True):
    """How much of the functions of one module that read is covered; `missing` are line pairs."""

    module: str
    branches: int
    covered: int
    missing: list[tuple[int, int]]


def measure(target: str | None, corpus: Sequence[str]) -> list[ModuleCoverage]:
    """Replay a target in a process of its own and return the coverage of what it instruments.

    Without a target all of them are, and their inputs count together. `corpus` are the options of
    `raft-fuzz replay` that say where the inputs are.

    Raises:
        MechanismError: coverage.py is not installed.
        InconclusiveError: the replay failed.
    """
    if find_spec("coverage") is None:
        raise MechanismError("this needs coverage.py: pip install 'raft-durability[test]'")
    targets = TARGETS if target is None else [target]
    modules = sorted({module for name in targets for module in TARGETS[name].modules})
    with tempfile.TemporaryDirectory(prefix="raft-fuzz-") as scratch:
        data, report = str(Path(scratch, "data")), Path(scratch, "report.json")
        include = ",".join(str(PROJECT / _path(module)) for module in modules)
        # No configuration file: what is measured must not depend on where the command is given.
        _coverage(
            "run", "--rcfile=", "--branch", f"--data-file={data}", f"--include={include}",
            "-m", "fuzz", "replay", *([] if target is None else [target]), *corpus,
        )  # fmt: skip
        _coverage("json", "--rcfile=", f"--data-file={data}", "-o", str(report), "-q")
        document = json.loads(report.read_bytes())
    by_path = {Path(path).resolve(): entry for path, entry in document["files"].items()}
    return [_module(module, by_path[(PROJECT / _path(module)).resolve()]) for module in modules]


def _coverage(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "coverage", *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InconclusiveError(f"coverage {arguments[0]}: {done.stdout}{done.stderr}"[-2000:])


def _path(module: str) -> str:
    return f"{module.replace('.', '/')}.py"


def _module(name: str, entry: dict[str, Any]) -> ModuleCoverage:
    """Count the branches of the functions that read."""
    branches = covered = 0
    missing: list[tuple[int, int]] = []
    for function, figures in entry["functions"].items():
        if not function.rpartition(".")[2].startswith(_NO_READERS):
            branches += figures["summary"]["num_branches"]
            covered += figures["summary"]["covered_branches"]
            missing += [(start, end) for start, end in figures["missing_branches"]]
    return ModuleCoverage(name, branches, covered, sorted(missing))
