"""States of power cuts that are recovered and audited, a second.

    python benchmarks/powerloss.py --states 2000 --json powerloss.json

Of the built-in node, for each of its targets: one run is recorded, then up to so many states of
each of the default models are drawn, recovered and audited, in `--jobs` processes.
"""

import argparse
import json
import os
import tempfile

from durability.campaign.cycle import Plan
from durability.campaign.places import ram_disk
from durability.crash.models import DEFAULT_MODELS
from durability.power_loss import LossScope, power_loss
from durability.targets import catalogue

_TARGETS = ("reference", "reference-follower", "reference-batches")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=2000, help="of each model")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--no-pruning", action="store_true", help="recover each state")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    scope = LossScope(
        models=DEFAULT_MODELS,
        states=arguments.states,
        jobs=arguments.jobs,
        pruning=not arguments.no_pruning,
    )
    figures = {name: _measured(name, scope) for name in _TARGETS}
    for name, found in figures.items():
        print(f"{name:<20}{', '.join(f'{key} {value}' for key, value in found.items())}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)


def _measured(name: str, scope: LossScope) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as findings:
        plan = Plan(
            target_name=name,
            seed=1,
            mechanism="seccomp",
            tear="none",
            directory=ram_disk(),
            findings=findings,
        )
        result = power_loss(catalogue.find(name), plan, scope, lambda _: None)
    keys = ("explored", "pruned", "states_per_second")
    return {"verdict": result.verdict, **{key: result.figures[key] for key in keys}}


if __name__ == "__main__":
    main()
