"""The command about disks that fail, for `durability.cli`."""

import dataclasses
import os
import secrets
import time
from functools import partial
from typing import Any, Final, get_args

import click
from rich.console import Console

from durability.campaign.cycle import Plan
from durability.campaign.places import ram_disk
from durability.disk.faults import FAULTS, Mechanism, chosen
from durability.disk.scope import DiskScope
from durability.disk_faults import disk_faults
from durability.errors import UsageError
from durability.report.command import KEEPING, MEASURE, reporting
from durability.report.progress import CampaignProgress
from durability.report.result import Result
from durability.targets import catalogue

_LIST: Final = "list"
_PART: Final = 3
"""So much less far than for kills an endless run goes: each of its calls fails in another run."""


def _faults(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Print the names for `list`."""
    del parameter
    if value == _LIST:
        width = max(map(len, FAULTS))
        for name, fault in FAULTS.items():
            click.echo(f"{name:{width}}  {fault.summary}")
        context.exit()
    return value


@click.command("disk")
@click.argument("target", default="reference")
@click.option(
    "--fault",
    metavar="NAME[,NAME]|list",
    callback=_faults,
    help="Which; by default those that a program must survive.",
)
@click.option("--faults", type=click.IntRange(1), help="So many of each; by default all there are.")
@click.option("--at", type=click.IntRange(1), metavar="N", help="The N-th call alone.")
@click.option(
    "--mechanism",
    type=click.Choice(get_args(Mechanism)),
    default="auto",
    help="Where calls fail; `memory` is for targets that take a disk of ours.",
)
@click.option(
    "--bytes",
    "stream_bytes",
    type=click.IntRange(1),
    help="How far an endless run goes; by default a third as far as for kills.",
)
@MEASURE
@KEEPING
@reporting("disk", campaign=True)
def disk_command(
    target: str,
    *,
    fault: str | None,
    faults: int | None,
    at: int | None,
    mechanism: Mechanism,
    stream_bytes: int | None,
    measure: float,
    findings: str,
    **common: Any,
) -> Result:
    """Let the disk of TARGET fail at each call of a short run, in every way; lie; rot."""
    if at is not None and (faults is not None or fault is None or "," in fault):
        raise UsageError("--at N is for one fault, without --faults")
    found = catalogue.find(target)
    names = chosen(found, mechanism, fault)
    if at is not None and FAULTS[names[0]].family != "call":
        raise UsageError(f"--at N is for a call that fails: {names[0]} is met in other ways")
    if found.stream_bytes is not None:
        found = dataclasses.replace(
            found, stream_bytes=min(found.stream_bytes, stream_bytes or found.stream_bytes // _PART)
        )
    plan = Plan(
        target_name=catalogue.lasting_name(target),
        seed=secrets.randbits(32) if common["seed"] is None else common["seed"],
        mechanism="seccomp",
        tear="none",
        directory=ram_disk(),
        findings=findings,
        measuring_s=measure,
        deadline_s=measure,
    )
    budget_s = common["budget"]
    scope = DiskScope(
        faults=names,
        calls=faults,
        at=at,
        jobs=common["jobs"] or len(os.sched_getaffinity(0)),
        until=None if budget_s is None else time.monotonic() + budget_s,
        stream_bytes=stream_bytes,
    )
    with CampaignProgress("faults", None, Console(stderr=True)) as progress:
        return disk_faults(found, plan, scope, mechanism, partial(_advance, progress))


def _advance(progress: CampaignProgress, landed: bool, broke: bool) -> None:
    progress(1, landed=landed, violating=broke)
