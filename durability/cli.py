"""The command line: one function a command, each of which ends in one `Result`.

`report.command` has what they have in common.
"""

import os
import secrets
import shlex
import signal
import tempfile
import time
from functools import partial
from types import FrameType
from typing import Any, Final, cast

import click
import msgspec
from rich.console import Console

from durability.audit.directory import audit_directory
from durability.audit.recovered import DirectoryAudit
from durability.campaign.cycle import Cycle, Mechanism, Plan
from durability.campaign.places import ram_disk
from durability.crash_loop import Limits, crash_loop, exact_or_timer
from durability.disk_command import disk_command
from durability.doctor import doctor
from durability.errors import DurabilityError, UnreadableError, UsageError
from durability.offline import Scope, explore
from durability.power_loss_commands import lint_command, mutants_command, powerloss
from durability.recording import record, render
from durability.replay import replay
from durability.report.command import KEEPING, MEASURE, CommandGroup, output, reporting
from durability.report.finding import FINDINGS
from durability.report.progress import CampaignProgress
from durability.report.result import Result
from durability.scenarios.running import run_scenarios
from durability.scenarios.scenario import Conditions
from durability.simulation.options import Faults
from durability.simulation_campaign import simulate
from durability.targets import catalogue
from durability.targets.contract import Tear
from durability.trace import trace as traces
from durability.trace.kill_order import KillOrder

_KILLS: Final = 200
_LINKS: Final = 3
_SEEDS: Final = 100
_RUN_DEADLINE_S: Final = 30.0


def _directory(context: click.Context, parameter: click.Parameter, path: str | None) -> str | None:
    """Refuse a place where no directory can be made."""
    if path is not None:
        try:
            os.rmdir(tempfile.mkdtemp(prefix="durability-", dir=path))
        except OSError as error:
            text = f"no directory can be made in {path!r}: {error.strerror}"
            raise click.BadParameter(text, context, parameter) from error
    return path


_DIRECTORY: Final = click.option(
    "--directory", metavar="DIR", callback=_directory, help="Where to make data directories."
)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="raft-durability")
def main() -> None:
    """Kill a node at an exact byte of its write stream, let it recover, audit what it promised."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves SIGHUP
            signal.signal(number, _interrupt)


main.add_command(powerloss)
main.add_command(lint_command)
main.add_command(disk_command)
main.add_command(mutants_command)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Let a polite SIGTERM, or a closed terminal, do what Ctrl-C does: stop, tidy up, report."""
    del number, frame
    raise KeyboardInterrupt


def _position(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> KillOrder | None:
    """Read OFFSET or OFFSET+CALLS."""
    if value is None:
        return None
    offset, _, calls = value.partition("+")
    if not offset.isdecimal() or not (calls or "0").isdecimal():
        text = f"{value!r} is not a number of bytes, nor one followed by +CALLS"
        raise click.BadParameter(text, context, parameter)
    return KillOrder(int(offset), int(calls or "0"))


@main.command()
@click.argument("target", default="reference")
@click.option("--kills", type=click.IntRange(1), help=f"How many; by default {_KILLS}.")
@click.option("--tear", type=click.Choice(["byte", "page", "none"]), help="Where writes are cut.")
@click.option(
    "--mechanism",
    type=click.Choice(["auto", "seccomp", "timer"]),
    default="auto",
    help="Exact kills by seccomp, or kills by the clock; auto is exact where that works.",
)
@click.option(
    "--at",
    metavar="OFFSET[+CALLS]",
    callback=_position,
    help="Kill once, at this position of the write stream.",
)
@click.option("--chain", is_flag=True, help="Run on what a kill left, kill again, and so on.")
@click.option("--links", type=click.IntRange(2), help=f"Kills in a chain; by default {_LINKS}.")
@click.option("--in-recovery", is_flag=True, help="Kill each recovery too, and recover again.")
@click.option("--offline", is_flag=True, help="Recover every state that kills of one run leave.")
@click.option(
    "--cross-check",
    type=click.IntRange(0),
    metavar="N",
    help="How many of these states to make by real kills too; by default one in a hundred.",
)
@MEASURE
@_DIRECTORY
@KEEPING
@reporting("crash", campaign=True)
def crash(
    target: str,
    *,
    kills: int | None,
    tear: Tear | None,
    mechanism: str,
    at: KillOrder | None,
    measure: float,
    directory: str | None,
    findings: str,
    **common: Any,
) -> Result:
    """Run TARGET, SIGKILL it at exact offsets of its write stream, recover, audit.

    TARGET is `reference`, the built-in Raft node, one that `durability targets` lists, a TOML file
    that describes a program, or PATH.py:WORKLOAD:RECOVER, a store that is two Python functions.
    """
    chain, links, in_recovery = (common[name] for name in ("chain", "links", "in_recovery"))
    offline, cross_check = common["offline"], common["cross_check"]
    _refuse(offline and (chain or in_recovery), "--offline is not for chains or recoveries")
    _refuse(offline and (kills or at), "--offline covers every position: no --kills, no --at")
    _refuse(at and (chain or in_recovery), "--at is one kill: no --chain, no --in-recovery")
    _refuse(links and not chain, "--links needs --chain")
    _refuse(cross_check is not None and not offline, "--cross-check needs --offline")
    found = catalogue.find(target)
    by_clock = mechanism == "timer"
    _refuse(
        by_clock and (tear or at),
        "a kill by the clock has neither --tear nor --at: they need seccomp",
    )
    exact = chain or in_recovery or offline
    _refuse(by_clock and exact, "--mechanism timer cannot do that: it needs exact kills")
    chosen, why = cast("Mechanism", mechanism), ""
    if mechanism == "auto":
        chosen, why = ("seccomp", "") if tear or at or exact else exact_or_timer()
    tear = "none" if chosen == "timer" else tear or found.tear
    wanted = 1 if at else kills or _KILLS
    plan = Plan(
        target_name=catalogue.lasting_name(target),
        seed=secrets.randbits(32) if common["seed"] is None else common["seed"],
        mechanism=chosen,
        tear=tear,
        directory=directory or ram_disk(),
        findings=findings,
        measuring_s=measure,
        deadline_s=max(_RUN_DEADLINE_S, 2 * measure),
        at=None if at is None else KillOrder(at.offset, at.calls, tear),
        links=(links or _LINKS) if chain else 1,
        in_recovery=in_recovery,
    )
    jobs = common["jobs"] or len(os.sched_getaffinity(0))
    if offline:
        scope = Scope(jobs=jobs, budget_s=common["budget"], checked=cross_check)
        with CampaignProgress("kills", None, Console(stderr=True)) as progress:
            return explore(found, plan, scope, partial(_advance, progress))
    limits = Limits(
        kills=wanted,
        explicit=kills is not None or at is not None,
        jobs=min(wanted, jobs),
        budget_s=common["budget"],
    )
    with CampaignProgress("kills", wanted * plan.links, Console(stderr=True)) as progress:
        result = crash_loop(found, plan, limits, partial(_advance, progress))
    if why:
        result.notes.append(why)
    return result


def _refuse(wrong: object, why: str) -> None:
    """Refuse options that contradict each other. Raises UsageError."""
    if wrong:
        raise UsageError(why)


def _advance(progress: CampaignProgress, cycle: Cycle) -> None:
    progress(
        1,
        landed=cycle.landed,
        torn=cycle.torn,
        acknowledged=cycle.acknowledged,
        violating=bool(cycle.found),
    )


@main.command()
@click.argument("directories", metavar="DIR...", nargs=-1, required=True)
@click.option("--recovered", is_flag=True, help="The node has recovered them: no left-overs.")
@reporting("audit")
def audit(directories: tuple[str, ...], *, recovered: bool, **_: Any) -> Result:
    """Audit data directories at rest, of raft.cr (v1) or of our node (v2), changing nothing."""
    began = time.monotonic()
    result = Result("audit")
    audits: list[DirectoryAudit] = []
    for directory in directories:
        try:
            audits.append(audit_directory(directory, recovered=recovered))
        except UnreadableError as error:
            result.reasons.append(str(error))
            result.misused = True
    for found in audits:
        option = " --recovered" if recovered else ""
        result.violations += [
            msgspec.structs.replace(
                violation,
                message=f"{found.path}: {violation.message}",
                reproduce=f"durability audit{option} {shlex.quote(found.path)}",
                subject=found.path,
            )
            for violation in found.violations
        ]
        result.notes += [f"{found.path}: {note}" for note in found.notes]
        if found.verdict == "inconclusive":
            result.reasons.append(_inconclusive(found))
    if audits:
        result.figures = {"directories": msgspec.to_builtins(audits)}
    result.elapsed_s = time.monotonic() - began
    return result


def _inconclusive(audit: DirectoryAudit) -> str:
    match audit.format:
        case "unknown":
            what = "its format is not known"
        case "empty":
            what = "there is nothing in it"
        case _:
            what = "its last batch is ambiguous"
    return f"{audit.path}: {what}"


@main.command("replay")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@reporting("replay")
def replay_command(paths: tuple[str, ...], **_: Any) -> Result:
    """Recover and audit kept findings again; a folder means all that are in it."""
    return replay(paths)


class _TraceGroup(click.Group):
    """`trace TARGET -o FILE` records; `trace show FILE` prints."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            args = ["record", *args]
        return super().resolve_command(ctx, args)


@main.group(cls=_TraceGroup, subcommand_metavar="TARGET -o FILE | show FILE")
def trace() -> None:
    """Record every change that one run of TARGET makes, or print a recording."""


@trace.command("record", hidden=True)
@click.argument("target")
@click.option("-o", "--output", required=True, metavar="FILE", callback=output, help="A new file.")
@_DIRECTORY
@reporting("trace")
def record_command(target: str, output: str, directory: str | None, **_: Any) -> Result:
    """Record one run of TARGET into FILE."""
    found = catalogue.find(target)
    plan = Plan(
        target_name=target,
        seed=0,
        mechanism="seccomp",
        tear="none",
        directory=directory or ram_disk(),
        findings=FINDINGS,
        deadline_s=_RUN_DEADLINE_S,
    )
    return record(found, plan, output)


@trace.command("show")
@click.argument("file")
def show_command(file: str) -> None:
    """Print a recording, one change a line, each behind its position in the write stream."""
    try:
        for line in render(traces.load(file)):
            click.echo(line)
    except DurabilityError as error:
        raise click.UsageError(str(error)) from error


def _seeds(context: click.Context, parameter: click.Parameter, value: str | None) -> range | None:
    """Read A..B, both included."""
    if value is None:
        return None
    first, _, last = value.partition("..")
    if not first.isdecimal() or not last.isdecimal() or int(first) > int(last):
        raise click.BadParameter(f"{value!r} is not A..B with A <= B", context, parameter)
    return range(int(first), int(last) + 1)


@main.command("simulate")
@click.option("--nodes", type=click.IntRange(1, 9), default=3, help="By default 3.")
@click.option("--seeds", metavar="A..B", callback=_seeds, help=f"By default 0..{_SEEDS - 1}.")
@click.option("--steps", type=click.IntRange(1), default=2000, help="In a run; by default 2000.")
@click.option(
    "--faults",
    type=click.Choice(["swarm", "gentle", "none"]),
    default="swarm",
    help="Drawn for each seed, mild ones, or none at all.",
)
@reporting("simulate", campaign=True)
def simulate_command(
    *, nodes: int, seeds: range | None, steps: int, faults: Faults, **common: Any
) -> Result:
    """Run simulated clusters, one a seed, with every Raft property watching."""
    began = time.perf_counter()
    wanted = range(_SEEDS) if seeds is None else seeds
    campaign = simulate(
        wanted,
        nodes=nodes,
        steps=steps,
        faults=faults,
        jobs=common["jobs"] or len(os.sched_getaffinity(0)),
        until=None if common["budget"] is None else began + common["budget"],
    )
    result = Result("simulate", figures=campaign.to_json(), elapsed_s=campaign.elapsed_s)
    result.violations += campaign.violations()
    if campaign.interrupted:
        result.reasons.append("interrupted")
    elif seeds is not None and campaign.seeds < len(seeds):
        result.reasons.append(f"time was up after {campaign.seeds} of {len(seeds)} seeds")
    if not campaign.seeds_with_leader:
        result.reasons.append("no run saw a leader: nothing was put to the test")
    return result


@main.command()
@click.argument("names", metavar="S05|S16|all...", nargs=-1)
@_DIRECTORY
@KEEPING
@reporting("scenario", campaign=True)
def scenario(names: tuple[str, ...], directory: str | None, findings: str, **common: Any) -> Result:
    """Run scenarios: claims about the node, each put to a test of a stated size."""
    conditions = Conditions(
        seed=secrets.randbits(32) if common["seed"] is None else common["seed"],
        jobs=common["jobs"] or len(os.sched_getaffinity(0)),
        budget_s=common["budget"],
        directory=directory or ram_disk(),
        disk=directory or tempfile.gettempdir(),
        findings=findings,
    )
    return run_scenarios(names or ("all",), conditions)


@main.command()
@click.option("--install", metavar="NAME@VERSION", help="Put a server into a cache of its own.")
@reporting("targets")
def targets(*, install: str | None, **_: Any) -> Result:
    """List what can be tested here by name."""
    began = time.monotonic()
    if install is not None:
        catalogue.install(install)
    known = msgspec.to_builtins(catalogue.available())
    return Result("targets", elapsed_s=time.monotonic() - began, figures={"targets": known})


@main.command("doctor")
@_DIRECTORY
@reporting("doctor")
def doctor_command(directory: str | None, **_: Any) -> Result:
    """Show what this machine can do by doing it: exact kill, torn write, order of promises."""
    return doctor(directory or ram_disk())
