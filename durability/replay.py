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
from durability.errors import DurabilityError, ExitStatus, UnreadableError
from durability.report import finding as findings
from durability.report.result import Result
from durability.targets import catalogue


def replay(paths: Iterable[str]) -> Result:
    """Replay each finding at or below the given paths.

    A case that cannot be replayed, because it is damaged or its target is not here any more, is a
    reason, and the others are replayed all the same; so are those before an interruption. Raises
    UnreadableError where a path is no folder.
    """
    began = time.monotonic()
    folders = [folder for path in paths for folder in cases(path)]
    result = Result(command="replay")
    passed: list[str] = []
    failed: list[str] = []
    try:
        for folder in folders:
            try:
                judgement = replay_case(folder)
            except DurabilityError as error:
                result.reasons.append(f"{folder}: {error}")
                result.misused |= error.exit_status is ExitStatus.USAGE
                continue
            (failed if judgement.violations else passed).append(folder)
            result.reasons += [f"{folder}: {fault}" for fault in judgement.faults]
            result.violations += [
                msgspec.structs.replace(
                    violation, reproduce=f"durability replay {shlex.quote(folder)}"
                )
                for violation in judgement.violations
            ]
    except KeyboardInterrupt:
        done = len(passed) + len(failed)
        result.reasons.append(f"interrupted after {done} of {len(folders)} cases")
    if not folders:
        result.reasons.append("there is no case to replay")
    result.figures = {"cases": len(folders), "passed": len(passed), "failed": failed}
    result.elapsed_s = time.monotonic() - began
    return result


def cases(path: str) -> Iterator[str]:
    """Yield the folders of the findings at or below a path, in order. Raises UnreadableError."""
    if not os.path.isdir(path):
        raise UnreadableError(f"{path}: not a folder with a finding in it")
    for folder, below, files in os.walk(path):
        below[:] = sorted(name for name in below if not name.endswith(findings.UNFINISHED))
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
                recover_and_judge(target, finding.heard(trace), directory, frozenset(finding.later))
            )

    return msgspec.msgpack.decode(run_alone(work), type=Judgement)
