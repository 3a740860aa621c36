"""What becomes of the mechanical mutants: the share that is noticed, and who is not.

Each is tried on the corpus of every target that gets to its module, and then on a few mutations of
it: what the tests replay, and what the shortest of runs adds. One that nothing notices has
survived, unless it is known to be equivalent to the original.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from durability.errors import InconclusiveError
from fuzz.corpus import Corpus
from fuzz.mutants.mechanical import SUBJECTS, Mutant
from fuzz.mutants.searches import mutate, replay
from fuzz.mutants.trial import attempt

EQUIVALENT: Final[Mapping[str, str]] = tomllib.loads(
    Path(__file__).with_name("equivalent.toml").read_text(encoding="utf-8")
)
"""The mutants that no input can tell from the original, each with the reason."""

KILLED_PERCENT_MIN: Final = 95.0

_MUTATIONS: Final = 100


class Fate(msgspec.Struct, frozen=True):
    """One mutant: the target whose input has told it from the original, empty if none has.

    `unfinished` says why it could not be tried: it makes no program, or the child died.
    """

    name: str
    killed_by: str
    message: str = ""
    unfinished: str = ""


def seal_fate(mutant: Mutant, corpus: Corpus, seed: int) -> Fate:
    """Try one mutant."""
    targets = SUBJECTS[mutant.changed.module]
    searches = [(target, replay(corpus.files(target))) for target in targets]
    searches += [(target, mutate(corpus.files(target), seed, _MUTATIONS)) for target in targets]
    for target, search in searches:
        try:
            found = attempt(mutant.changed, target, search)
        except InconclusiveError as error:
            return Fate(mutant.name, "", unfinished=str(error))
        if found.executions:
            return Fate(mutant.name, target, found.message)
    return Fate(mutant.name, "")


def figures(fates: Iterable[Fate]) -> dict[str, Any]:
    """Count them; the share is of those that could be tried and are not equivalent."""
    fates = list(fates)
    counted = [fate for fate in fates if fate.name not in EQUIVALENT and not fate.unfinished]
    survived = sorted(fate.name for fate in counted if not fate.killed_by)
    killed = len(counted) - len(survived)
    return {
        "total": len(counted),
        "killed": killed,
        "killed_percent": round(100 * killed / len(counted), 1) if counted else 0.0,
        "equivalent": len(EQUIVALENT),
        "survived": survived,
        "unfinished": [f"{fate.name}: {fate.unfinished}" for fate in fates if fate.unfinished],
    }


def wrongly_excused(fates: Sequence[Fate]) -> list[str]:
    """List those that are said to be equivalent, and that an input has told from the original."""
    return [fate.name for fate in fates if fate.killed_by and fate.name in EQUIVALENT]
