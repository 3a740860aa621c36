"""Running the command line as a user does."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = os.path.join(ROOT, "tests", "programs")


@dataclass
class Done:
    """A finished command: exit status, what it printed, the JSON it wrote."""

    status: int
    stdout: str
    stderr: str
    document: dict[str, Any]


def environment() -> dict[str, str]:
    """Return an environment in which `python3` is the interpreter that runs the tests."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "PYTHONPATH": ROOT}


def durability(
    *arguments: str, cwd: str, timeout_s: float = 120, within: Sequence[str] = ()
) -> Done:
    """Run `durability ...` in a directory, with a JSON result; by the command `within` if given."""
    path = os.path.join(cwd, "result.json")
    done = subprocess.run(
        [*within, sys.executable, "-m", "durability", *arguments, "--json", path],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    document: dict[str, Any] = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        os.unlink(path)
    return Done(done.returncode, done.stdout, done.stderr, document)


def program(name: str) -> str:
    """Return the path of a control program's description."""
    return os.path.join(PROGRAMS, f"{name}.toml")
