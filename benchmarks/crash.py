"""Audited kills a second of the built-in node, on each directory given.

    python benchmarks/crash.py --directory /dev/shm --directory /var/tmp --json crash.json

A round takes all directories in turn, so that a busy machine slows them all; the median round
counts. A kill is: fresh directory, fork, filter, run to an exact byte, SIGKILL, replay compared
with the disk, recovery in a further process, audit.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile

from durability.crash_cycle import Plan
from durability.crash_loop import Limits, crash_loop
from durability.targets import catalogue


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
    rates: dict[str, list[float]] = {directory: [] for directory in directories}
    for round_number in range(arguments.rounds):
        for directory in directories:
            rates[directory].append(_rate(directory, round_number, arguments))
    figures = {
        directory: {
            "kills_per_second": statistics.median(found),
            "rounds": found,
            "jobs": arguments.jobs,
        }
        for directory, found in rates.items()
    }
    for directory, found in figures.items():
        print(f"{directory:<24} {found['kills_per_second']:8.1f} audited kills/s")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)


def _rate(directory: str, seed: int, arguments: argparse.Namespace) -> float:
    target = catalogue.find("reference")
    with tempfile.TemporaryDirectory() as findings:
        plan = Plan(
            target_name="reference",
            seed=seed,
            mechanism="seccomp",
            tear=target.tear,
            directory=directory,
            findings=findings,
            deadline_s=30.0,
        )
        limits = Limits(kills=arguments.kills, explicit=True, jobs=arguments.jobs)
        result = crash_loop(target, plan, limits, lambda _: None)
    if result.verdict != "held":
        sys.exit(f"not a benchmark: {result.document()}")
    return float(result.figures["cycles_per_second"])


if __name__ == "__main__":
    main()
