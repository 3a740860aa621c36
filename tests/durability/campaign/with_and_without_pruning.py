"""Explores states of one run twice, with pruning and without, and writes what each time was broken.

    python -m tests.durability.campaign.with_and_without_pruning TARGET MODEL[,MODEL] STATES

A process of its own, so that the node it explores may be an edited one.
"""

import json
import sys
import tempfile
from functools import partial

from durability.campaign.course import Course
from durability.campaign.cycle import Plan
from durability.campaign.known_recoveries import KnownRecoveries
from durability.campaign.loss_explorer import Explored, LossExplorer
from durability.campaign.workers import run_alone
from durability.crash.loss_states import Draw, LossStates
from durability.crash.models import MODELS
from durability.recording import traced
from durability.targets import catalogue

_BATCH_STATES = 64


def main(name: str, models: str, states: str) -> None:
    """Explore and write."""
    target = catalogue.find(name)
    with tempfile.TemporaryDirectory() as directory:
        plan = Plan(
            target_name=name,
            seed=1,
            mechanism="seccomp",
            tear="none",
            directory=directory,
            findings=directory,
        )
        trace, measured = traced(target, plan)
        draws = {
            model: list(LossStates(MODELS[model], trace, seed=1, limit=int(states)))
            for model in models.split(",")
        }

        def explored(_: int, *, pruning: bool) -> bytes:
            found = {}
            faults: set[str] = set()
            pruned = 0
            course, later = Course(trace), measured.announced
            known = KnownRecoveries() if pruning else None
            with LossExplorer(target, directory, course, later, known) as explorer:
                for model, drawn in draws.items():
                    outcomes = [
                        explorer.explore(MODELS[model], drawn[start : start + _BATCH_STATES])
                        for start in range(0, len(drawn), _BATCH_STATES)
                    ]
                    found[model] = [broken for one in outcomes for broken in _broken(one)]
                    faults |= {fault for one in outcomes for fault in one.faults}
                    pruned += sum(one.pruned for one in outcomes)
            told = {"broken": found, "faults": sorted(faults), "pruned": pruned}
            return json.dumps(told).encode()

        ways = [run_alone(partial(explored, pruning=on)) for on in (True, False)]
    sys.stdout.write(json.dumps([json.loads(way) for way in ways]))


def _broken(explored: Explored) -> list[tuple[Draw, list[str]]]:
    return [(one.draw, sorted({v.kind for v in one.violations})) for one in explored.broken]


if __name__ == "__main__":
    main(*sys.argv[1:])
