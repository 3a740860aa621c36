"""The command line: `raft-fuzz run`, `replay`, `minimise`, `coverage`, `mutants`.

Options, reports and exit statuses are those of `durability`: 0 held, 1 a finding, 2 wrong usage,
3 inconclusive.
"""

import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import click
import msgspec

from durability.errors import UsageError
from durability.report.command import CommandGroup, reporting
from durability.report.plot import Plot
from durability.report.result import Result
from fuzz.branch_coverage import measure
from fuzz.campaign import MUTATORS, Limits, Mutator, Run
from fuzz.corpus import Corpus
from fuzz.finding import Finding, Identity
from fuzz.minimise import minimise
from fuzz.mutants import survival
from fuzz.mutants.hunt import Hunt, hunt
from fuzz.mutants.mechanical import SUBJECTS, mutants
from fuzz.mutants.planted import PLANTED
from fuzz.replay import as_finding, replay
from fuzz.runs import Plan, run_all
from fuzz.spread import spread
from fuzz.targets import TARGETS

_SECONDS: Final = 60.0
_PROGRAM: Final = "raft-fuzz"
_SEED_MAX: Final = 2**32 - 2

corpus_option = click.option("--corpus", metavar="DIR", help="A folder with one folder a target.")
one_target = click.argument("target", type=click.Choice(list(TARGETS)))


@dataclass(frozen=True)
class _Common:
    """What all commands are given: the seed, how many processes, and until when to begin work."""

    seed: int
    jobs: int
    until: float | None
    began: float

    @classmethod
    def of(cls, seed: int | None, jobs: int | None, budget: float | None) -> "_Common":
        """Draw a seed where none is given, and count the CPUs."""
        began = time.monotonic()
        seed = secrets.randbelow(_SEED_MAX + 1) if seed is None else seed % (_SEED_MAX + 1)
        jobs = jobs or len(os.sched_getaffinity(0))
        return cls(seed, jobs, None if budget is None else began + budget, began)

    def result(self, command: str, figures: dict[str, Any], findings: Sequence[Finding]) -> Result:
        """Make a result of what a command has found, up to now."""
        elapsed_s = time.monotonic() - self.began
        return Result(command, self.seed, elapsed_s, figures, list(findings))


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="raft-durability")
def main() -> None:
    """Fuzz everything that reads bytes; replay what was found."""


@main.command("run")
@click.argument("target", type=click.Choice([*TARGETS, "all"]))
@click.option(
    "--seconds",
    type=click.FloatRange(1),
    help=f"For each target; by default {_SECONDS:g} without --runs.",
)
@click.option("--runs", type=click.IntRange(1), help="Executions for each target, at the most.")
@click.option(
    "--mutator",
    type=click.Choice(MUTATORS),
    help="Which one; by default both, each with half of the limits.",
)
@click.option("--keep", metavar="DIR", help="Keep inputs that reach something new in DIR/TARGET.")
@corpus_option
@reporting("run", campaign=True, program=_PROGRAM)
def run_command(
    target: str,
    seconds: float | None,
    runs: int | None,
    mutator: Mutator | None,
    keep: str | None,
    corpus: str | None,
    **common: Any,
) -> Result:
    """Fuzz TARGET, or all of them, one to a process."""
    given = _Common.of(**common)
    inputs = Corpus.find(corpus)
    mutators = (mutator,) if mutator else MUTATORS
    if seconds is None and runs is None:
        seconds = _SECONDS
    limits = Limits(
        None if seconds is None else seconds / len(mutators),
        None if runs is None else -(-runs // len(mutators)),
    )
    plan = Plan(mutators, limits, given.seed, inputs, None if keep is None else Path(keep))
    names = list(TARGETS) if target == "all" else [target]
    done: list[Run] = []
    reasons: list[str] = []
    findings: list[Finding] = []
    for run, reason in run_all(names, plan, given.jobs, given.until):
        done.append(run)
        reasons += [reason] if reason else []
        findings += _keep(inputs, run)
        click.echo(_figures_line(run), err=True)
    done.sort(key=lambda run: names.index(run.target))
    result = given.result("run", _figures(target, done, findings), findings)
    result.reasons = reasons
    missed = [f"{name}: the budget ended first" for name in names[len(done) :]]
    (result.notes if done else result.reasons).extend(missed)
    result.plots = [
        Plot(f"Growth of {run.target}", "executions", "branches and places", run.growth)
        for run in done
    ]
    return result


def _keep(corpus: Corpus, run: Run) -> list[Finding]:
    """Store what a run has found, and say where."""
    return [
        as_finding(
            run.target,
            corpus.keep(run.target, found.data),
            Identity(found.kind, found.place),
            found.message,
        )
        for found in run.findings
    ]


def _figures(target: str, runs: Sequence[Run], findings: Sequence[Finding]) -> dict[str, Any]:
    whole = Run(target)
    for run in runs:
        whole.executions += run.executions
        whole.cpu_s += run.cpu_s
        whole.coverage += run.coverage
    figures = _figures_of(whole)
    if target == "all":
        figures["targets"] = [_figures_of(run) for run in runs]
    return {**figures, "crashes": msgspec.to_builtins(list(findings))}


def _figures_of(run: Run) -> dict[str, Any]:
    return {
        "target": run.target,
        "executions": run.executions,
        "exec_per_cpu_s": round(run.executions_per_cpu_s),
        "coverage": run.coverage,
    }


def _figures_line(run: Run) -> str:
    return (
        f"{run.target:<12} {run.executions:>9} executions  {run.executions_per_cpu_s:>8.0f}/CPU s"
        f"  coverage {run.coverage:>4}  findings {len(run.findings)}"
    )


@main.command("replay")
@click.argument("target", type=click.Choice(list(TARGETS)), required=False)
@click.argument("files", nargs=-1, metavar="[FILE]...")
@corpus_option
@reporting("replay", program=_PROGRAM)
def replay_command(
    target: str | None, files: tuple[str, ...], corpus: str | None, **common: Any
) -> Result:
    """Test the corpus of TARGET, or of all targets, or single FILEs, against every law."""
    given = _Common.of(**common)
    inputs = Corpus.find(corpus)
    cases = 0
    findings: list[Finding] = []
    reasons: list[str] = []
    for name in TARGETS if target is None else [target]:
        paths = [Path(file) for file in files] or inputs.files(name)
        if not paths:
            reasons.append(f"{name}: there is no input to replay")
        cases += len(paths)
        findings += replay(name, paths)
    figures = {
        "cases": cases,
        "passed": cases - len(findings),
        "failed": [finding.path for finding in findings],
    }
    result = given.result("replay", figures, findings)
    result.reasons = reasons
    return result


@main.command("minimise")
@one_target
@click.argument("directories", nargs=-1, metavar="[DIR]...", type=click.Path(exists=True))
@corpus_option
@reporting("minimise", program=_PROGRAM)
def minimise_command(
    target: str, directories: tuple[str, ...], corpus: str | None, **common: Any
) -> Result:
    """Make TARGET's corpus the fewest inputs, of it and of each DIR, that reach as much."""
    given = _Common.of(**common)
    inputs = Corpus.find(corpus).roots[0] / target
    inputs.mkdir(parents=True, exist_ok=True)
    minimised = minimise(target, inputs, [Path(directory) for directory in directories])
    return given.result("minimise", {"target": target, **msgspec.to_builtins(minimised)}, ())


@main.command("coverage")
@click.argument("target", type=click.Choice([*TARGETS, "all"]))
@corpus_option
@reporting("coverage", program=_PROGRAM)
def coverage_command(target: str, corpus: str | None, **common: Any) -> Result:
    """Measure which branches of its decoders TARGET's corpus takes, or those of all together."""
    given = _Common.of(**common)
    options = [] if corpus is None else ["--corpus", corpus]
    modules = measure(None if target == "all" else target, options)
    for module in modules:
        missing = ", ".join(f"{start} to {end}" for start, end in module.missing) or "none"
        click.echo(
            f"{module.module}: {module.covered} of {module.branches} branches; missing: {missing}",
            err=True,
        )
    figures = {"target": target, "modules": msgspec.to_builtins(modules)}
    return given.result("coverage", figures, ())


@main.command("mutants")
@click.argument("names", nargs=-1, metavar="[ID]...")
@click.option(
    "--kind",
    type=click.Choice(["planted", "mechanical", "all"]),
    default="all",
    help="Defects that somebody thought of, changes by rule, or both; ID names a planted one.",
)
@click.option("--compare", is_flag=True, help="Show random inputs and Hypothesis beside.")
@corpus_option
@reporting("mutants", campaign=True, program=_PROGRAM)
def mutants_command(
    names: tuple[str, ...],
    kind: Literal["planted", "mechanical", "all"],
    *,
    compare: bool,
    corpus: str | None,
    **common: Any,
) -> Result:
    """Plant defects in copies of the package and show what finds each one, how soon."""
    given = _Common.of(**common)
    inputs = Corpus.find(corpus)
    result = given.result("mutants", {}, ())
    figures: dict[str, Any] = {"mutants": [], "found": 0, "total": 0, "cpu_s": 0.0}
    if kind != "mechanical" or names:
        figures |= _hunt(names, inputs, given, result, compare=compare)
    if kind != "planted" and not names:
        figures["mechanical"] = _survey(inputs, given, result)
    result.figures = figures
    result.elapsed_s = time.monotonic() - given.began
    return result


def _hunt(
    names: Sequence[str], corpus: Corpus, given: _Common, result: Result, *, compare: bool
) -> dict[str, Any]:
    """Hunt the planted defects of these names, or all; the result says which were not found."""
    unknown = set(names) - {defect.name for defect in PLANTED}
    if unknown:
        raise UsageError(f"there is no defect {', '.join(sorted(unknown))}")
    wanted = [defect for defect in PLANTED if not names or defect.name in names]
    hunts: list[Hunt] = []
    for done in spread(
        wanted,
        lambda defect: hunt(defect, corpus, given.seed, compare=compare),
        Hunt,
        given.jobs,
        given.until,
    ):
        hunts.append(done)
        click.echo(_row(done), err=True)
        said = result.notes if done.found else result.reasons
        said += [f"{done.id}: {name}: {why}" for name, why in done.unfinished.items()]
        if not done.found:
            result.reasons.append(f"{done.id} was not found")
    _note_budget(result, "planted defects", len(hunts), len(wanted), explicit=bool(names))
    order = [defect.name for defect in wanted]
    hunts.sort(key=lambda done: order.index(done.id))
    return {
        "mutants": msgspec.to_builtins(hunts),
        "found": sum(done.found for done in hunts),
        "total": len(hunts),
        "cpu_s": round(sum(done.cpu_s for done in hunts), 3),
    }


def _row(done: Hunt) -> str:
    """Show after how many executions each technique has found a defect; `?` if it did not end."""
    numbers = {**done.techniques, **done.compared}
    cells = {
        name: "?" if name in done.unfinished else number or "-" for name, number in numbers.items()
    }
    return f"{done.id:<40} " + "  ".join(f"{name} {cell:>7}" for name, cell in cells.items())


def _survey(corpus: Corpus, given: _Common, result: Result) -> dict[str, Any]:
    """Try every mechanical mutant; the result says where too many survive."""
    everyone = [mutant for module in SUBJECTS for mutant in mutants(module)]
    fates = list(
        spread(
            everyone,
            lambda mutant: survival.seal_fate(mutant, corpus, given.seed),
            survival.Fate,
            given.jobs,
            given.until,
        )
    )
    _note_budget(result, "mechanical mutants", len(fates), len(everyone))
    figures = survival.figures(fates)
    for name in figures["survived"]:
        click.echo(f"survived: {name}", err=True)
    if fates and figures["killed_percent"] < survival.KILLED_PERCENT_MIN:
        result.reasons.append(
            f"{figures['killed_percent']} % of the mechanical mutants were noticed"
        )
    result.reasons += figures["unfinished"]
    result.reasons += [f"not equivalent: {name}" for name in survival.wrongly_excused(fates)]
    return figures


def _note_budget(
    result: Result, what: str, done: int, wanted: int, *, explicit: bool = False
) -> None:
    """Say what a budget has left out: a reason where that is all, or was asked for by name."""
    if done < wanted:
        text = f"{what}: {done} of {wanted} were tried when the budget ended"
        (result.reasons if explicit or not done else result.notes).append(text)
