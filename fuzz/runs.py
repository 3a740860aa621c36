"""Running several targets: one process each, with every mutator one after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzz.campaign import Limits, Mutator, Run, fuzz, refuse_empty
from fuzz.corpus import Corpus
from fuzz.errors import EmptyRunError
from fuzz.spread import spread


@dataclass(frozen=True)
class Plan:
    """How each target is run: `limits` are a mutator's, new inputs are kept in `keep`/TARGET."""

    mutators: Sequence[Mutator]
    limits: Limits
    seed: int
    corpus: Corpus
    keep: Path | None


def run_all(
    targets: Sequence[str], plan: Plan, jobs: int, until: float | None
) -> Iterator[tuple[Run, str]]:
    """Yield the run of each target, and why it has shown nothing, empty if it has."""
    yield from spread(targets, lambda target: _run(target, plan), tuple[Run, str], jobs, until)


def _run(target: str, plan: Plan) -> tuple[Run, str]:
    run = Run(target)
    grow = None if plan.keep is None else plan.keep / target
    try:
        for mutator in plan.mutators:
            seeds = plan.corpus.directories(target)
            run.add(fuzz(target, mutator, plan.limits, plan.seed, seeds, grow=grow))
        refuse_empty(run)
    except EmptyRunError as error:
        return run, str(error)
    return run, ""
