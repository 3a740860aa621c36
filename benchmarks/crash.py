"""Audited kills of the built-in node: a second, and what they are worth beside kills by the clock.

    python benchmarks/crash.py --directory /dev/shm --directory /var/tmp --json crash.json

`kills`: exact kills a second on each directory. A round takes all directories in turn, so that a
busy machine slows them all; the median round counts. A kill is: fresh directory, fork, filter, run
to an exact byte, SIGKILL, replay compared with the disk, recovery in a further process, audit.

`offline`: every kill state of one run a second, recovered and audited, at pages and at bytes.

`mechanisms`: as many kills by the exact mechanism and by the clock, on the first directory. Useful
is a kill that left what no earlier one had left, after something had been acknowledged.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from typing import Any

import msgspec

from durability.campaign.cycle import Cycle, Plan
from durability.crash_loop import Limits, crash_loop
from durability.offline import Scope, explore
from durability.report.result import Result
from durability.targets import catalogue
from durability.targets.contract import Target


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", action="append", help="where to make data directories")
    parser.add_argument("--kills", type=int, default=300, help="in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    directories = arguments.directory or [tempfile.gettempdir()]
    with tempfile.TemporaryDirectory() as findings:
        bench = _Bench(arguments.kills, arguments.jobs, findings)
        figures = {
            "kills": bench.kills(directories, arguments.rounds),
            "offline": {tear: bench.offline(directories[0], tear) for tear in ("page", "byte")},
            "mechanisms": {name: bench.mechanism(directories[0], name) for name in _MECHANISMS},
        }
    for section, entries in figures.items():
        for name, found in entries.items():
            values = ", ".join(f"{key} {value}" for key, value in found.items())
            print(f"{section:<11}{name:<16}{values}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)


_MECHANISMS = ("seccomp", "timer")


class _Bench:
    """The measurements, each with so many kills in so many processes."""

    def __init__(self, kills: int, jobs: int, findings: str) -> None:
        self._target: Target = catalogue.find("reference")
        self._limits = Limits(kills=kills, explicit=True, jobs=jobs)
        self._plan = Plan(
            target_name="reference",
            seed=0,
            mechanism="seccomp",
            tear=self._target.tear,
            directory="",
            findings=findings,
            deadline_s=30.0,
        )

    def kills(self, directories: list[str], rounds: int) -> dict[str, dict[str, Any]]:
        """Return exact kills a second on each directory."""
        rates: dict[str, list[float]] = {directory: [] for directory in directories}
        for round_number in range(rounds):
            for directory in directories:
                result, _ = self._crash(directory=directory, seed=round_number)
                rates[directory].append(result.figures["cycles_per_second"])
        return {
            directory: {
                "kills_per_second": statistics.median(found),
                "rounds": found,
                "jobs": self._limits.jobs,
            }
            for directory, found in rates.items()
        }

    def offline(self, directory: str, tear: str) -> dict[str, Any]:
        """Return how many kill states there are, and how many a second are judged."""
        plan = msgspec.structs.replace(self._plan, directory=directory, tear=tear)
        scope = Scope(jobs=self._limits.jobs, checked=0)
        result = _held(explore(self._target, plan, scope, lambda _: None))
        keys = ("states", "distinct_states", "coverage", "states_per_second")
        return {key: result.figures[key] for key in keys}

    def mechanism(self, directory: str, name: str) -> dict[str, Any]:
        """Return what kills of one kind were worth."""
        tear = "none" if name == "timer" else self._target.tear
        result, cycles = self._crash(directory=directory, mechanism=name, tear=tear)
        first_of_state = {cycle.digest: cycle for cycle in reversed(cycles) if cycle.landed}
        useful = sum(cycle.acknowledged > 0 for cycle in first_of_state.values())
        keys = ("kills", "landed", "torn", "distinct_states", "cycles_per_second")
        return {**{key: result.figures[key] for key in keys}, "useful": useful}

    def _crash(self, **changes: Any) -> tuple[Result, list[Cycle]]:
        plan = msgspec.structs.replace(self._plan, **changes)
        cycles: list[Cycle] = []
        result = _held(crash_loop(self._target, plan, self._limits, cycles.append))
        return result, cycles


def _held(result: Result) -> Result:
    if result.verdict != "held":
        sys.exit(f"not a benchmark: {result.document()}")
    return result


if __name__ == "__main__":
    main()
