"""Running a target: a process that fuzzes, its report, and whether it has tested anything.

A fuzzing run that did nothing looks like one that found nothing. Here it is an error: no execution,
a module that was not instrumented, coverage below what the target's floor is.
"""

import math
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from durability.errors import InconclusiveError, MechanismError
from fuzz.errors import EmptyRunError
from fuzz.report import Found, Started, decode_lines
from fuzz.targets import TARGETS
from fuzz.task import MUTATORS, SHRINK_CPU_S, Mutator, Task

__all__ = ["MUTATORS", "Limits", "Mutator", "Run", "fuzz", "merge", "refuse_empty"]

PROJECT: Final = Path(__file__).parent.parent
_DICTIONARIES: Final = Path(__file__).parent / "dictionaries"
_INPUT_BYTES_MAX: Final = 1024
_SEED_BYTES_MAX: Final = 2**16
_NATIVE_ENDS: Final = {70: "Timeout", 71: "OutOfMemory", 77: "Crash"}
_TIMEOUT_S: Final = 10
"""By the clock: beyond what any input takes on a machine that is busy."""

_GRACE_CPU_S: Final = 120
"""What starting up, the inputs there are, and the last input may take beyond a limit."""

_CLOCK_PER_CPU: Final = 30
"""How much longer by the clock than by CPU time a process may take: one that sleeps does."""

_COVERAGE: Final = re.compile(r"^#(\d+)\s.*\bcov: (\d+)", re.MULTILINE)
_EXECUTIONS: Final = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)
_INSTRUMENTED: Final = re.compile(r"^INFO: Instrumenting (\S+)", re.MULTILINE)


def environment(package_root: Path | None = None, temporary: str | None = None) -> dict[str, str]:
    """Return the environment of a process that imports this project, wherever it is started.

    The package under test is taken from `package_root`, if given. What the process leaves behind,
    since libFuzzer ends it without ceremony, is below `temporary`.
    """
    roots = [PROJECT] if package_root is None else [package_root, PROJECT]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, roots)),
        "PYTHONDONTWRITEBYTECODE": "1",
        **({} if temporary is None else {"TMPDIR": temporary}),
    }


@dataclass(frozen=True)
class Limits:
    """When a run ends: whichever of these comes first.

    `seconds` are the clock's, for people who wait; `cpu_s` are seconds of CPU time, for figures
    that must not depend on what else the machine does.
    """

    seconds: float | None = None
    executions: int | None = None
    cpu_s: float | None = None

    def cpu_s_max(self, findings_max: int) -> int | None:
        """Return the CPU time after which a process has missed its limit, in whole seconds."""
        if self.seconds is None and self.cpu_s is None:
            return None
        least = min(limit for limit in (self.seconds, self.cpu_s) if limit is not None)
        return math.ceil(least + _GRACE_CPU_S + findings_max * SHRINK_CPU_S)


@dataclass
class Run:
    """What one run, or several one after the other, came to.

    `coverage` is edges, comparisons and places reached; `growth` how it rose, as pairs of
    executions so far and what had been reached by then.
    """

    target: str
    executions: int = 0
    cpu_s: float = 0.0
    coverage: int = 0
    findings: list[Found] = field(default_factory=list)
    growth: list[tuple[int, int]] = field(default_factory=list)

    @property
    def executions_per_cpu_s(self) -> float:
        """Executions per second of CPU time, without what starting up took."""
        return self.executions / self.cpu_s if self.cpu_s else 0.0

    def add(self, other: "Run") -> None:
        """Count another run of the same target in, which came after this one."""
        self.growth += [
            (self.executions + executions, max(self.coverage, reached))
            for executions, reached in other.growth
        ]
        self.executions += other.executions
        self.cpu_s += other.cpu_s
        self.coverage = max(self.coverage, other.coverage)
        known = {(finding.kind, finding.place) for finding in self.findings}
        self.findings += [
            finding for finding in other.findings if (finding.kind, finding.place) not in known
        ]


def fuzz(
    target: str,
    mutator: Mutator,
    limits: Limits,
    seed: int,
    seeds: Iterable[Path],
    *,
    grow: Path | None = None,
    package_root: Path | None = None,
    findings_max: int = 20,
) -> Run:
    """Run a target with one mutator, from the inputs in the folders `seeds`.

    Inputs that reach something new are kept in the folder `grow`, if given. The packages under test
    are those in `package_root`, or the installed ones. It ends with so many kinds of findings.

    Raises:
        MechanismError: atheris is not installed.
        EmptyRunError: nothing was executed or instrumented, or next to nothing reached.
        InconclusiveError: the process failed.
    """
    _require_atheris()
    with tempfile.TemporaryDirectory(prefix="raft-fuzz-") as scratch:
        report = Path(scratch, "report")
        report.touch()
        new_inputs = grow or Path(scratch, "new")
        new_inputs.mkdir(parents=True, exist_ok=True)
        flags = [
            f"-seed={seed % (2**32 - 1) + 1}",
            f"-max_len={_INPUT_BYTES_MAX}",
            f"-timeout={_TIMEOUT_S}",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
            f"-artifact_prefix={scratch}/artifact-",
        ]
        if limits.seconds is not None:
            flags.append(f"-max_total_time={max(1, round(limits.seconds))}")
        if limits.executions is not None:
            flags.append(f"-runs={limits.executions}")
        if mutator == "default":
            # Blind mutation gets at a number of eight bytes only if it is told how near it is.
            flags.append("-use_value_profile=1")
        dictionary = _DICTIONARIES / f"{target}.dict"
        if dictionary.exists():
            flags.append(f"-dict={dictionary}")
        task = Task(
            target=target,
            mutator=mutator,
            report=str(report),
            findings_max=findings_max,
            cpu_s=limits.cpu_s,
            cpu_s_max=limits.cpu_s_max(findings_max),
        )
        status, log, cpu_s = _execute(
            task,
            [*flags, str(new_inputs), *map(str, seeds)],
            environment(package_root, scratch),
        )
        run = _read_run(target, log, report.read_bytes(), cpu_s, package_root or PROJECT)
        artifacts = _artifacts(Path(scratch), _NATIVE_ENDS.get(status, "Signal"), log)
        run.findings += artifacts
        if status != 0 and not artifacts:
            raise InconclusiveError(f"the fuzzing process exited with {status}: {log[-2000:]}")
    return run


def merge(target: str, result: Path, inputs: Path) -> None:
    """Copy into the new folder `result` the fewest of the inputs that reach what all do.

    Raises:
        MechanismError: atheris is not installed.
        InconclusiveError: the process failed.
    """
    _require_atheris()
    result.mkdir()
    with tempfile.TemporaryDirectory(prefix="raft-fuzz-") as scratch:
        report = Path(scratch, "report")
        flags = [
            "-set_cover_merge=1",
            f"-max_len={_SEED_BYTES_MAX}",
            f"-artifact_prefix={scratch}/",
        ]
        status, log, _ = _execute(
            Task(target=target, mutator="default", report=str(report), cpu_s_max=_GRACE_CPU_S),
            [*flags, str(result), str(inputs)],
            environment(temporary=scratch),
        )
    if status:
        raise InconclusiveError(f"the merging process exited with {status}: {log[-2000:]}")


def _require_atheris() -> None:
    if find_spec("atheris") is None:
        raise MechanismError(
            "fuzzing needs atheris: pip install 'raft-durability[fuzz]'; replay works without"
        )


def _execute(
    task: Task, flags: Sequence[str], environ: Mapping[str, str]
) -> tuple[int, str, float]:
    """Run the engine; return its exit status, what it printed, and the CPU time it took.

    Raises:
        InconclusiveError: it has used more CPU time than it may, or sleeps.
    """
    argument = msgspec.json.encode(task).decode()
    with tempfile.TemporaryFile() as output:
        before = os.times()
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "fuzz.engine", argument, *flags],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=None if task.cpu_s_max is None else task.cpu_s_max * _CLOCK_PER_CPU,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InconclusiveError("the fuzzing process does not end, and does nothing") from error
        if done.returncode == -signal.SIGKILL:
            raise InconclusiveError(
                f"the fuzzing process was killed, as it is after {task.cpu_s_max} s of CPU time"
            )
        after = os.times()
        output.seek(0)
        log = output.read().decode(errors="replace")
    cpu_s = after.children_user - before.children_user
    cpu_s += after.children_system - before.children_system
    return done.returncode, log, cpu_s


def _read_run(target: str, log: str, report: bytes, cpu_s: float, root: Path) -> Run:
    """Read what a process printed and reported, and see whether it has tested what is in `root`."""
    lines = list(decode_lines(report))
    started = [line for line in lines if isinstance(line, Started)]
    if not started:
        raise EmptyRunError(f"{target}: not one input was tested: {log[-2000:]}")
    if not Path(started[0].tested).is_relative_to(root):
        raise InconclusiveError(f"{started[0].tested} was tested, not what is in {root}")
    missing = set(TARGETS[target].modules) - set(_INSTRUMENTED.findall(log))
    if missing:
        raise EmptyRunError(f"{target}: {', '.join(sorted(missing))} was not instrumented")
    growth = [(int(executions), int(reached)) for executions, reached in _COVERAGE.findall(log)]
    executions = [int(found) for found in _EXECUTIONS.findall(log)]
    findings = [line for line in lines if isinstance(line, Found)]
    # A run that ends itself, with a finding or at its limit of CPU time, prints no statistics.
    executions += [finding.executions for finding in findings]
    executions += [so_far for so_far, _ in growth]
    return Run(
        target,
        max(executions, default=0),
        max(0.0, cpu_s - started[0].cpu_s),
        max((reached for _, reached in growth), default=0),
        findings,
        growth,
    )


def refuse_empty(run: Run) -> None:
    """Refuse a run without a finding that has not reached what a run of its target does.

    Raises:
        EmptyRunError: it executed nothing, or covered less than the target's floor.
    """
    floor = TARGETS[run.target].coverage_floor
    if run.findings:
        return
    if not run.executions or run.coverage < floor:
        raise EmptyRunError(
            f"{run.target}: {run.executions} executions reached coverage {run.coverage}, "
            f"and {floor} is the least for a run to mean anything"
        )


def _artifacts(scratch: Path, kind: str, log: str) -> list[Found]:
    """Return the inputs that ended the process, which libFuzzer has written down."""
    paths = [path for path in scratch.glob("artifact-*") if "slow-unit" not in path.name]
    return [
        Found(0, kind, "the fuzzing process ended", log[-1000:], path.read_bytes())
        for path in paths
    ]
