"""Replaying kept findings: recover what a crash left again, audit it again.

A case is the folder of a finding, with the crashed directory in it, or the file of a crash state.
"""

import os
import shlex
import time
from collections.abc import Iterable, Iterator
from tempfile import TemporaryDirectory

import msgspec

from durability.audit.judgement import Judgement
from durability.audit.promises import Promises
from durability.campaign.bench import Bench
from durability.campaign.crash_cycle import recover_and_judge
from durability.campaign.workers import run_alone
from durability.disk.damage_rule import judge_damage
from durability.errors import DurabilityError, ExitStatus, UnreadableError
from durability.report import crash_state
from durability.report import finding as findings
from durability.report.result import Result
from durability.targets import catalogue


def replay(paths: Iterable[str]) -> Result:
    """Replay each finding at or below the given paths.

    A case that cannot be replayed, because it is damaged or its target is not here any more, is a
    reason, and the others are replayed all the same; so are those before an interruption. Raises
    UnreadableError where a path is neither a case nor a folder.
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
    """Yield the cases at or below a path, in order. Raises UnreadableError."""
    if path.endswith(crash_state.SUFFIX):
        yield path
        return
    if not os.path.isdir(path):
        raise UnreadableError(f"{path}: not a folder with a finding in it")
    for folder, below, files in os.walk(path):
        below[:] = sorted(name for name in below if not name.endswith(findings.UNFINISHED))
        if "finding.json" in files:
            below.clear()
            yield folder
        else:
            states = sorted(name for name in files if name.endswith(crash_state.SUFFIX))
            yield from (os.path.join(folder, name) for name in states)


def replay_case(path: str) -> Judgement:
    """Recover what a case left and judge it, in a process of its own."""
    return _replay_state(path) if path.endswith(crash_state.SUFFIX) else _replay_finding(path)


def _replay_state(path: str) -> Judgement:
    case = crash_state.load(path)
    target = catalogue.find(case.target)
    promises = Promises.of(target, case.all_heard, frozenset(case.later))

    def work(control: int) -> bytes:
        del control
        with TemporaryDirectory(prefix="durability-") as base, Bench(target, base) as bench:
            (judgement,) = bench.judge(case.content, [promises])
        if case.damage:
            _, judgement = judge_damage(target, case.content, promises, judgement, case.damage)
        return msgspec.msgpack.encode(judgement)

    return msgspec.msgpack.decode(run_alone(work), type=Judgement)


def _replay_finding(folder: str) -> Judgement:
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
