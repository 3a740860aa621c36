"""Hunting one planted defect with every technique.

The corpus is replayed first: what it finds, it finds in every test run. Then each mutator has its
executions, from the same corpus, a few times over, until one has found it. To compare, all of them
have theirs, and uniformly random inputs and Hypothesis too. What is found counts if the package as
it is, without the defect, has nothing under the same inputs, or as many.
"""

import resource
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from durability.errors import InconclusiveError
from durability.mutants.edited import edit, edited_package, source
from fuzz.campaign import MUTATORS, Limits, Mutator, fuzz
from fuzz.corpus import Corpus
from fuzz.mutants.planted import PlantedDefect
from fuzz.mutants.searches import draw_by_hypothesis, draw_uniformly, replay
from fuzz.mutants.trial import Attempt, Changed, Search, attempt, refuse_unchanged

EXECUTIONS: Final[Mapping[Mutator, int]] = {"struct": 40_000, "default": 1_000_000}
"""What each mutator has, unless it is told otherwise: ten seconds of CPU time."""

_ROUNDS_MAX: Final = 3
"""How often a mutator begins anew, from another seed: what it finds it finds by chance."""

_CPU_S_MAX: Final = 20.0
"""For each round: a target of a hundred executions a second is given up earlier."""

_COMPARED: Final = {"random": draw_uniformly, "hypothesis": draw_by_hypothesis}


class Hunt(msgspec.Struct, frozen=True):
    """What became of one defect.

    `executions` is how many the quickest technique took to find it, 0 where none did. `techniques`
    has the number of each one that counts, `compared` that of those it is compared with: 0 where
    the defect was not found. `unfinished` says of a technique why it has shown nothing. `cpu_s` is
    the CPU time of the techniques that count, in seconds.
    """

    id: str
    target: str
    catalogue: str
    found: bool
    executions: int
    techniques: dict[str, int]
    compared: dict[str, int]
    unfinished: dict[str, str]
    message: str
    cpu_s: float


def hunt(
    defect: PlantedDefect,
    corpus: Corpus,
    seed: int,
    *,
    compare: bool,
    executions: Mapping[Mutator, int] = EXECUTIONS,
) -> Hunt:
    """Plant a defect in a copy of the package and look for it; with `compare`, in every way.

    Raises:
        UsageError: the source is not what the defect was written for.
    """
    content = edit(defect.path, defect.old, defect.new)
    module = defect.path.removesuffix(".py").replace("/", ".")
    changed = Changed(module, compile(content, defect.path, "exec"))
    target = defect.target
    before = _cpu_s()
    attempts = {"replay": _tried(changed, target, replay(corpus.files(target)))}
    if compare or not attempts["replay"].executions:
        with (
            edited_package(defect.path, content) as root,
            edited_package(defect.path, source(defect.path)) as unedited,
        ):
            for mutator in MUTATORS:
                run_round = partial(_fuzz, target, mutator, corpus)
                attempts[mutator] = _search(run_round, executions[mutator], seed, root, unedited)
                if attempts[mutator].executions and not compare:
                    break
    cpu_s = _cpu_s() - before
    compared = {}
    if compare:
        for name, search in _COMPARED.items():
            compared[name] = _tried(changed, target, search(seed))
    found = [done for done in attempts.values() if done.executions]
    return Hunt(
        id=defect.name,
        target=target,
        catalogue=defect.catalogue,
        found=bool(found),
        executions=min((done.executions for done in found), default=0),
        techniques={name: done.executions for name, done in attempts.items()},
        compared={name: done.executions for name, done in compared.items()},
        unfinished={
            name: done.unfinished for name, done in (attempts | compared).items() if done.unfinished
        },
        message=found[0].message if found else "",
        cpu_s=cpu_s,
    )


def _tried(changed: Changed, target: str, search: Search) -> Attempt:
    try:
        return attempt(changed, target, search)
    except InconclusiveError as error:
        return Attempt(unfinished=str(error))


_Round = Callable[[int, int, Path], Attempt]
"""Fuzzes the copy of the package in a folder, for so many executions, from a seed."""


def _search(run_round: _Round, executions: int, seed: int, edited: Path, unedited: Path) -> Attempt:
    """Fuzz until the defect is found; its executions are those of all rounds.

    The round that finds something has a control: as many executions in the unedited package.
    """
    try:
        for number in range(_ROUNDS_MAX):
            done = run_round(executions, seed + number, edited)
            if done.executions:
                refuse_unchanged(run_round(done.executions, seed + number, unedited))
                return Attempt(number * executions + done.executions, done.message)
    except InconclusiveError as error:
        return Attempt(unfinished=str(error))
    return Attempt()


def _fuzz(
    target: str, mutator: Mutator, corpus: Corpus, executions: int, seed: int, root: Path
) -> Attempt:
    run = fuzz(
        target,
        mutator,
        Limits(executions=executions, cpu_s=_CPU_S_MAX),
        seed,
        corpus.directories(target),
        package_root=root,
        findings_max=1,
    )
    return Attempt(run.executions, run.findings[0].message) if run.findings else Attempt()


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
