"""The process that fuzzes one target under atheris; `fuzz.campaign` starts it and reads its report.

    python -m fuzz.engine TASK [libFuzzer's flags and folders]

A broken law does not end it: each kind is made small, reported once, and fuzzing goes on until
there are as many kinds as the task says. A hang inside of C code, or memory beyond all bounds, is
libFuzzer's to report.
"""

import math
import os
import resource
import shlex
import sys
import time
import zlib
from collections.abc import Collection, Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Final

import atheris
import msgspec

from fuzz.finding import Identity, describe, run_check, shrink
from fuzz.mutator import StructureMutator
from fuzz.report import Found, Started, encode_line
from fuzz.targets import TARGETS, forget, load
from fuzz.task import SHRINK_CPU_S, Task
from fuzz.watch import HangError, Watched, watching

_ADDRESS_SPACE_BYTES: Final = 2**30

SAMPLE: Final = {"struct": 8, "default": 64}
"""Of so many inputs one is held against all the laws: more where it is making them that costs."""


class Reporter:
    """What atheris calls with each input; it writes one line for each kind of finding.

    One input in `sample` is held against every law, by `check`. Which ones depends on the inputs
    alone, so that a run can be repeated. `tested` is where the package under test was found.
    """

    def __init__(
        self,
        probe: Watched,
        check: Watched,
        report: BinaryIO,
        *,
        tested: str,
        sample: int,
        findings_max: int = 20,
        cpu_s: float | None = None,
    ) -> None:
        self._probe = probe
        self._check = check
        self._report = report
        self._tested = tested
        self._sample = sample
        self._findings_max = findings_max
        self._cpu_s = cpu_s
        self._ends_at_cpu_s = math.inf
        self._known: set[Identity] = set()

    def __call__(self, data: bytes) -> None:
        """Test one input."""
        if self._probe.executions == 0:
            self._write(Started(time.process_time(), self._tested))
            if self._cpu_s is not None:
                self._ends_at_cpu_s = time.process_time() + self._cpu_s
        error = run_check(self._probe, data)
        if error is None and zlib.crc32(data) % self._sample == 0:
            error = run_check(self._check, data)
        if error is not None and Identity.of(error) not in self._known:
            self._known.add(Identity.of(error))
            self._write(self._minimised(data, error))
        if len(self._known) >= self._findings_max or self._is_late():
            # Not by an exception: libFuzzer would take that for a crash.
            os._exit(0)

    def _is_late(self) -> bool:
        return self._cpu_s is not None and time.process_time() > self._ends_at_cpu_s

    def _minimised(self, data: bytes, error: BaseException) -> Found:
        """Shrink an input under all the laws, by which it will be replayed."""
        executions = self._probe.executions
        if not isinstance(error, HangError):
            error = run_check(self._check, data) or error
            identity = Identity.of(error)
            until_cpu_s = time.process_time() + SHRINK_CPU_S

            def fails(smaller: bytes) -> bool:
                if time.process_time() > until_cpu_s:
                    return False
                other = run_check(self._check, smaller)
                return other is not None and Identity.of(other) == identity

            data = shrink(data, fails)
            error = run_check(self._check, data) or error
        kind, place = Identity.of(error)
        return Found(executions, kind, place, describe(error), data)

    def _write(self, line: Started | Found) -> None:
        self._report.write(encode_line(line))
        self._report.flush()


def main() -> None:
    """Fuzz until a limit among the flags is reached."""
    task = msgspec.json.decode(sys.argv[1], type=Task)
    if task.cpu_s_max is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (task.cpu_s_max, task.cpu_s_max))
    modules = TARGETS[task.target].modules
    # The laws that take long are checked by a copy of everything that is not instrumented: it is
    # three times as fast, and what it executes does not pass for coverage.
    check = Watched(load(task.target).check)
    forget()
    packages = sorted({module.partition(".")[0] for module in modules})
    with atheris.instrument_imports(include=packages, exclude=_other_modules(packages, modules)):
        target = load(task.target)
        probe = Watched(target.probe)
        tested = import_module(modules[0]).__file__ or ""
    for place in target.places:
        atheris.instrument_func(place)
    # The libFuzzer of atheris starts itself again by its first argument, through a shell.
    itself = shlex.join([sys.executable, "-P", "-m", "fuzz.engine", sys.argv[1]])
    options = {}
    if task.mutator == "struct":
        options["custom_mutator"] = StructureMutator(target.layout, _mutate_blindly)
    with open(task.report, "ab") as report:
        reporter = Reporter(
            probe,
            check,
            report,
            tested=tested,
            sample=SAMPLE[task.mutator],
            findings_max=task.findings_max,
            cpu_s=task.cpu_s,
        )
        atheris.Setup([itself, *sys.argv[2:]], reporter, **options)
        # Not earlier: what the modules and libFuzzer itself take is not the input's doing.
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))
        with watching(probe, check):
            atheris.Fuzz()


def _mutate_blindly(data: bytes, max_bytes: int) -> bytes:
    # Looked up late: `Setup` puts another function in this one's place.
    return bytes(atheris.Mutate(data, max_bytes))


def _other_modules(packages: Iterable[str], modules: Collection[str]) -> list[str]:
    """List what is not to guide the run: atheris can include whole packages only."""
    others = []
    for package in packages:
        spec = find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        for root in map(Path, spec.submodule_search_locations):
            for path in root.rglob("*.py"):
                parts = path.relative_to(root.parent).with_suffix("").parts
                others.append(".".join(parts).removesuffix(".__init__"))
    return [other for other in others if other not in modules]


if __name__ == "__main__":
    main()
