"""The commands about power cuts, for `durability.cli`."""

import math
import os
import secrets
from functools import partial
from typing import Any

import click
from rich.console import Console

from durability.campaign.cycle import Plan
from durability.campaign.loss_explorer import Explored
from durability.campaign.places import ram_disk
from durability.crash.models import DEFAULT_MODELS, MODELS, SECTOR_BYTES
from durability.errors import UsageError
from durability.lint import lint
from durability.mutants.hunt import hunt_all
from durability.mutants.planted import PLANTED
from durability.power_loss import STATES, LossScope, power_loss
from durability.report.command import KEEPING, MEASURE, reporting
from durability.report.finding import FINDINGS
from durability.report.progress import CampaignProgress
from durability.report.result import Result
from durability.second_crash import CRASHES, Crashes, second_crash
from durability.targets import catalogue
from durability.trace.kill_order import PAGE_BYTES

_LIST = "list"


def _models(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Read NAME[,NAME]; print the names for `list`."""
    if value == _LIST:
        width = max(map(len, MODELS))
        for model in MODELS.values():
            click.echo(f"{model.name:{width}}  {model.summary}")
        context.exit()
    names = tuple(dict.fromkeys(value.split(",")))
    for name in names:
        if name not in MODELS:
            text = f"{name!r} is none; `--model {_LIST}` prints them"
            raise click.BadParameter(text, context, parameter)
    return names


_MODEL = click.option(
    "--model",
    "models",
    metavar="NAME[,NAME]|list",
    default=",".join(DEFAULT_MODELS),
    callback=_models,
    help=f"What a power cut may leave; by default {','.join(DEFAULT_MODELS)}.",
)
_SECTOR = click.option(
    "--sector-bytes",
    type=click.IntRange(SECTOR_BYTES, PAGE_BYTES),
    default=PAGE_BYTES,
    help="A disk that tears pages, where they are overwritten in place, into sectors of this size.",
)


def _torn(models: tuple[str, ...], sector_bytes: int) -> tuple[str, ...]:
    return tuple(MODELS[name].torn(sector_bytes).name for name in models)


@click.command()
@click.argument("target", default="reference")
@_MODEL
@_SECTOR
@click.option("--states", type=click.IntRange(1), help=f"Of each model; by default {STATES}.")
@click.option("--exhaustive", is_flag=True, help="All states: for short runs.")
@click.option("--first", is_flag=True, help="Stop at the first broken states of each model.")
@click.option("--confirm", is_flag=True, help="Show findings on real file systems; needs root.")
@click.option(
    "--in-recovery", is_flag=True, help="Cut the power again, in the recovery of what a cut left."
)
@click.option("--after-kill", is_flag=True, help="Kill, and cut the power in the recovery.")
@click.option(
    "--crashes",
    type=click.IntRange(1),
    metavar="N",
    help=f"How many first crashes with either; by default {CRASHES}, or all with --exhaustive.",
)
@click.option("--no-pruning", is_flag=True, help="Recover also what recovery cannot tell apart.")
@MEASURE
@KEEPING
@reporting("powerloss", campaign=True)
def powerloss(
    target: str,
    *,
    models: tuple[str, ...],
    states: int | None,
    exhaustive: bool,
    first: bool,
    confirm: bool,
    measure: float,
    findings: str,
    **common: Any,
) -> Result:
    """Record one run of TARGET, and recover what a power cut at any moment of it may leave.

    TARGET is `reference`, the built-in Raft node, a TOML file that describes a program, or
    PATH.py:WORKLOAD:RECOVER, a store that is two Python functions.
    """
    if exhaustive and states is not None:
        raise UsageError("--exhaustive looks at all states: no --states")
    in_recovery, after_kill, count = (
        common[name] for name in ("in_recovery", "after_kill", "crashes")
    )
    if in_recovery and after_kill:
        raise UsageError("a first crash is a cut, --in-recovery, or a kill, --after-kill")
    if count is not None and not (in_recovery or after_kill):
        raise UsageError("--crashes needs --in-recovery or --after-kill")
    sector_bytes = common["sector_bytes"]
    if confirm and sector_bytes < PAGE_BYTES:
        raise UsageError("no disk tears a page on request: no --confirm with --sector-bytes")
    plan = Plan(
        target_name=catalogue.lasting_name(target),
        seed=secrets.randbits(32) if common["seed"] is None else common["seed"],
        mechanism="seccomp",
        tear="none",
        directory=ram_disk(),
        findings=findings,
        measuring_s=measure,
    )
    scope = LossScope(
        models=_torn(models, sector_bytes),
        states=states or STATES,
        explicit=states is not None,
        exhaustive=exhaustive,
        at_first=first,
        pruning=not common["no_pruning"],
        confirm=confirm,
        jobs=common["jobs"] or len(os.sched_getaffinity(0)),
        budget_s=common["budget"],
    )
    found = catalogue.find(target)
    with CampaignProgress("states", None, Console(stderr=True)) as progress:
        advance = partial(_advance, progress)
        if in_recovery or after_kill:
            how_many = count or (None if exhaustive else CRASHES)
            crashes = Crashes("kill" if after_kill else "cut", how_many, count is not None)
            return second_crash(found, plan, scope, crashes, advance)
        return power_loss(found, plan, scope, advance)


def _advance(progress: CampaignProgress, explored: Explored) -> None:
    progress(
        explored.states,
        promised=explored.promised,
        pruned=explored.pruned,
        violating=len(explored.broken),
    )


@click.command("lint")
@click.argument("target")
@_MODEL
@_SECTOR
@reporting("lint")
def lint_command(target: str, *, models: tuple[str, ...], sector_bytes: int, **_: Any) -> Result:
    """Record one run of TARGET, and say what was not durable at each acknowledgement."""
    plan = Plan(
        target_name=catalogue.lasting_name(target),
        seed=0,
        mechanism="seccomp",
        tear="none",
        directory=ram_disk(),
        findings=FINDINGS,
    )
    return lint(catalogue.find(target), plan, _torn(models, sector_bytes))


@click.command("mutants")
@click.argument("ids", metavar="ID...", nargs=-1)
@reporting("mutants", campaign=True)
def mutants_command(ids: tuple[str, ...], **common: Any) -> Result:
    """Plant each documented defect in the built-in node, and look for it."""
    known = {defect.id: defect for defect in PLANTED}
    if unknown := [name for name in ids if name not in known]:
        raise UsageError(f"no defect {unknown[0]!r} is planted; there are {', '.join(known)}")
    jobs = common["jobs"] or len(os.sched_getaffinity(0))
    budget_s = math.inf if common["budget"] is None else common["budget"]
    defects = [known[name] for name in ids or known]
    return hunt_all(defects, common["seed"] or 0, jobs, budget_s, explicit=bool(ids))
