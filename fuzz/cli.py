"""The command line: `raft-fuzz run`, `replay`, `minimise`, `coverage`, `mutants`.

Exit status 0 held, 1 a finding, 2 wrong usage, 3 inconclusive.
"""

import functools
import json
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from fuzz.branch_coverage import measure
from fuzz.campaign import MUTATORS, Limits, Mutator, Run, fuzz, refuse_empty
from fuzz.corpus import Corpus
from fuzz.errors import EmptyRunError, FuzzError, UsageError
from fuzz.finding import Finding, Identity
from fuzz.minimise import minimise
from fuzz.mutants.hunt import hunt
from fuzz.mutants.planted import PLANTED
from fuzz.replay import as_finding, replay
from fuzz.result import Result
from fuzz.targets import TARGETS

_SECONDS: Final = 60.0

Command = Callable[..., None]


def reporting(command: Command) -> Command:
    """Turn a function that fills in a Result into a command that shows it, and may write it."""

    @click.option("--json", "json_path", metavar="FILE", help="Write the result as JSON.")
    @click.option("--seed", type=click.IntRange(0, 2**32 - 2), help="Repeat a run's draws.")
    @functools.wraps(command)
    def wrapped(json_path: str | None, seed: int | None, **options: Any) -> None:
        result = Result(command.__name__.removesuffix("_command"))
        result.seed = secrets.randbelow(2**32 - 1) if seed is None else seed
        usage = None
        try:
            command(result, **options)
        except UsageError as error:
            usage = error
            result.reasons.append(str(error))
        except FuzzError as error:
            result.reasons.append(str(error))
        except KeyboardInterrupt:
            result.reasons.append("interrupted before it was done")
        result.stop_clock()
        if json_path:
            Path(json_path).write_text(json.dumps(result.document(), indent=2) + "\n")
        if usage is not None:
            raise click.UsageError(str(usage))
        for line in result.lines():
            click.echo(line)
        sys.exit(result.exit_status)

    return wrapped


corpus_option = click.option("--corpus", metavar="DIR", help="A folder with one folder a target.")
one_target = click.argument("target", type=click.Choice(list(TARGETS)))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="raft-durability")
def main() -> None:
    """Fuzz everything that reads bytes; replay what was found."""


@main.command()
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
@reporting
def run_command(
    result: Result,
    target: str,
    seconds: float | None,
    runs: int | None,
    mutator: Mutator | None,
    keep: str | None,
    corpus: str | None,
) -> None:
    """Fuzz TARGET, or all of them one after the other."""
    inputs = Corpus.find(corpus)
    mutators = [mutator] if mutator else list(MUTATORS)
    if seconds is None and runs is None:
        seconds = _SECONDS
    limits = Limits(
        None if seconds is None else seconds / len(mutators),
        None if runs is None else -(-runs // len(mutators)),
    )
    done: list[Run] = []
    for name in TARGETS if target == "all" else [target]:
        grow = None if keep is None else Path(keep, name)
        run = Run(name)
        done.append(run)
        try:
            for kind in mutators:
                run.add(
                    fuzz(name, kind, limits, result.seed or 0, inputs.directories(name), grow=grow)
                )
            refuse_empty(run)
        except EmptyRunError as error:
            result.reasons.append(str(error))
        result.findings = [*result.findings, *_keep(inputs, run)]
        click.echo(_figures_line(run))
    result.figures = _figures(target, done)


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


def _figures(target: str, runs: Sequence[Run]) -> dict[str, Any]:
    whole = Run(target)
    for run in runs:
        whole.executions += run.executions
        whole.cpu_s += run.cpu_s
        whole.coverage += run.coverage
    figures = _figures_of(whole)
    if target == "all":
        figures["targets"] = [_figures_of(run) for run in runs]
    return figures


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
@reporting
def replay_command(
    result: Result, target: str | None, files: tuple[str, ...], corpus: str | None
) -> None:
    """Test the corpus of TARGET, or of all targets, or single FILEs, against every law."""
    inputs = Corpus.find(corpus)
    cases = 0
    findings: list[Finding] = []
    for name in TARGETS if target is None else [target]:
        paths = [Path(file) for file in files] or inputs.files(name)
        if not paths:
            result.reasons.append(f"{name}: there is no input to replay")
        cases += len(paths)
        findings += replay(name, paths)
    result.findings = findings
    result.figures = {
        "cases": cases,
        "passed": cases - len(findings),
        "failed": [finding.path for finding in findings],
    }
    click.echo(f"{cases} inputs replayed, {len(findings)} of them break a law", err=True)


@main.command("minimise")
@one_target
@click.argument("directories", nargs=-1, metavar="[DIR]...", type=click.Path(exists=True))
@corpus_option
@reporting
def minimise_command(
    result: Result, target: str, directories: tuple[str, ...], corpus: str | None
) -> None:
    """Make TARGET's corpus the fewest inputs, of it and of each DIR, that reach as much."""
    inputs = Corpus.find(corpus).roots[0] / target
    inputs.mkdir(parents=True, exist_ok=True)
    minimised = minimise(target, inputs, [Path(directory) for directory in directories])
    result.figures = {"target": target, **msgspec.to_builtins(minimised)}
    click.echo(
        f"{target}: {minimised.files_before} inputs, now {minimised.files_after}; "
        f"coverage {minimised.coverage_after}",
        err=True,
    )


@main.command("coverage")
@one_target
@corpus_option
@reporting
def coverage_command(result: Result, target: str, corpus: str | None) -> None:
    """Measure which branches of its decoders TARGET's corpus takes."""
    options = [] if corpus is None else ["--corpus", corpus]
    modules = measure(target, options)
    result.figures = {"target": target, "modules": msgspec.to_builtins(modules)}
    for module in modules:
        missing = ", ".join(f"{start} to {end}" for start, end in module.missing) or "none"
        click.echo(
            f"{module.module}: {module.covered} of {module.branches} branches; missing: {missing}"
        )


@main.command("mutants")
@click.argument("names", nargs=-1, metavar="[ID]...")
@click.option("--compare", is_flag=True, help="Show random inputs and Hypothesis beside.")
@corpus_option
@reporting
def mutants_command(
    result: Result, names: tuple[str, ...], *, compare: bool, corpus: str | None
) -> None:
    """Plant defects in copies of the package and show what finds each one, how soon."""
    unknown = set(names) - {defect.name for defect in PLANTED}
    if unknown:
        raise UsageError(f"there is no defect {', '.join(sorted(unknown))}")
    inputs = Corpus.find(corpus)
    hunts = []
    for defect in PLANTED:
        if not names or defect.name in names:
            done = hunt(defect, inputs, result.seed or 0, compare=compare)
            hunts.append(done)
            numbers = {**done.techniques, **done.compared}
            columns = "  ".join(f"{name} {number or '-':>6}" for name, number in numbers.items())
            click.echo(f"{done.id:<34} {columns}")
            if not done.found:
                result.reasons.append(f"{done.id} was not found")
    found = sum(done.found for done in hunts)
    result.figures = {
        "mutants": msgspec.to_builtins(hunts),
        "found": found,
        "total": len(hunts),
        "cpu_s": round(sum(done.cpu_s for done in hunts), 3),
    }
    click.echo(f"{found} of {len(hunts)} found in {result.figures['cpu_s']} s of CPU time")
