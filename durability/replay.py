"""Replaying kept findings: recover the crashed directory again, audit it again."""

import os
import shlex
import time
from collections.abc import Iterable, Iterator
from tempfile import TemporaryDirectory

import msgspec

from durability.audit.judgement import Judgement
from durability.campaign.workers import run_alone
from durability.crash_cycle import recover_and_judge
from durability.errors import UnreadableError
from durability.report import finding as findings
from durability.report.result import Result
from durability.targets import catalogue


def replay(paths: Iterable[str]) -> Result:
    """Replay each finding at or below the given paths.

    Raises UnreadableError, or TargetError where a finding's target is not here any more.
    """
    began = time.monotonic()
    folders = [folder for path in paths for folder in cases(path)]
    result = Result(command="replay")
    failed = []
    for folder in folders:
        judgement = replay_case(folder)
        result.reasons += judgement.faults
        if judgement.violations:
            failed.append(folder)
            result.violations += [
                msgspec.structs.replace(
                    violation, reproduce=f"durability replay {shlex.quote(folder)}"
                )
                for violation in judgement.violations
            ]
    if not folders:
        result.reasons.append("there is no case to replay")
    result.figures = {
        "cases": len(folders),
        "passed": len(folders) - len(failed),
        "failed": failed,
    }
    result.elapsed_s = time.monotonic() - began
    return result


def cases(path: str) -> Iterator[str]:
    """Yield the folders of the findings at or below a path, in order. Raises UnreadableError."""
    if not os.path.isdir(path):
        raise UnreadableError(f"{path}: not a folder with a finding in it")
    for folder, below, files in os.walk(path):
        below.sort()
        if "finding.json" in files:
            below.clear()
            yield folder


def replay_case(folder: str) -> Judgement:
    """Recover a copy of a finding's crashed directory and judge it, in a process of its own."""
    finding, trace = findings.load(folder)
    target = catalogue.find(finding.target)

    def work(control: int) -> bytes:
        del control
        with TemporaryDirectory(prefix="durability-") as directory:
            findings.copy_crashed(folder, directory)
            return msgspec.msgpack.encode(
                recover_and_judge(target, finding.heard(trace), directory)
            )

    return msgspec.msgpack.decode(run_alone(work), type=Judgement)
