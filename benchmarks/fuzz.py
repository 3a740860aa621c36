"""Executions of each fuzz target per CPU second, with each mutator.

    python benchmarks/fuzz.py --target message --json fuzz.json

A round runs every target with both mutators in turn, each from the committed corpus, so that a busy
machine slows them all; the median round counts. CPU time is the fuzzing process's own, without what
starting up takes. An execution is one input made, tried against the laws of the loop, and one time
in 64 (default) or 8 (struct) against all of them.
"""

import argparse
import json
import os
import statistics
import sys
from typing import Final

# The folder of a script comes first in the search for modules, and this one's is called fuzz.
_FOLDER: Final = os.path.dirname(os.path.realpath(__file__))
sys.path = [path for path in sys.path if os.path.realpath(path) != _FOLDER]

from fuzz.campaign import MUTATORS, Limits, Mutator, fuzz, refuse_empty  # noqa: E402 - as said
from fuzz.corpus import Corpus  # noqa: E402 - likewise
from fuzz.targets import TARGETS  # noqa: E402 - likewise

_REFERENCE: Final = ("message", "default")
"""What the ratios are to."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", action="append", choices=list(TARGETS), help="default: all")
    parser.add_argument("--seconds", type=float, default=3, help="a run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    targets = arguments.target or list(TARGETS)
    rates: dict[tuple[str, Mutator], list[float]] = {
        (target, mutator): [] for target in targets for mutator in MUTATORS
    }
    for seed in range(arguments.rounds):
        for (target, mutator), found in rates.items():
            found.append(_rate(target, mutator, arguments.seconds, seed))
    medians = {key: statistics.median(found) for key, found in rates.items()}
    reference = medians.get(_REFERENCE)
    figures = [
        {
            "target": target,
            "mutator": mutator,
            "exec_per_cpu_s": round(median),
            "ratio": None if reference is None else round(median / reference, 4),
            "rounds": [round(rate) for rate in rates[target, mutator]],
        }
        for (target, mutator), median in medians.items()
    ]
    for row in figures:
        print(f"{row['target']:<14} {row['mutator']:<8} {row['exec_per_cpu_s']:>9,} per CPU s")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)


def _rate(target: str, mutator: Mutator, seconds: float, seed: int) -> float:
    run = fuzz(target, mutator, Limits(seconds), seed, Corpus.find().directories(target))
    refuse_empty(run)
    return run.executions_per_cpu_s


if __name__ == "__main__":
    main()
