"""Testing the inputs of a corpus again, against every law, without a fuzzing engine."""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from durability.errors import UsageError
from fuzz.finding import Finding, Identity, describe, run_check
from fuzz.targets import invariant, load
from fuzz.watch import Watched, watching


def replay(target: str, paths: Iterable[Path]) -> list[Finding]:
    """Return a finding for each file that breaks a law. Must be called in the main thread.

    Raises:
        UsageError: a file cannot be read.
    """
    check = Watched(load(target).check)
    findings = []
    with watching(check):
        for path in paths:
            raised = run_check(check, _read(path))
            if raised is not None:
                findings.append(as_finding(target, path, Identity.of(raised), describe(raised)))
    return findings


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; name a file with one input") from error


def as_finding(target: str, path: Path, identity: Identity, message: str) -> Finding:
    """Report what the input in a file does, with the line that shows it again."""
    return Finding(
        target=target,
        kind=identity.error,
        place=identity.place,
        invariant=invariant(target),
        message=message,
        path=str(path),
        reproduce=f"raft-fuzz replay {target} {shlex.quote(str(path))}",
        # Line numbers change with every edit, and a baseline is to know the finding even so.
        subject=re.sub(r":\d+", "", f"{target} at {identity.place}"),
    )
