"""The command line: `durability crash`, `audit`, `replay`, `trace`, `targets`, `doctor`.

Every command ends in one `Result`, shown on the terminal and written where the options say; its
exit status is 0 held, 1 violation, 2 wrong usage, 3 inconclusive.
"""

import functools
import os
import secrets
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, cast

import click
import msgspec
from rich.console import Console

from durability.audit.directory import audit_directory
from durability.audit.recovered import DirectoryAudit
from durability.crash_cycle import Cycle, Mechanism, Plan
from durability.crash_loop import Limits, crash_loop, exact_or_timer
from durability.doctor import doctor
from durability.errors import DurabilityError, UsageError
from durability.recording import record, render
from durability.replay import replay
from durability.report.document import write_json
from durability.report.finding import FINDINGS
from durability.report.junit import write_junit
from durability.report.page import write_page
from durability.report.result import Baseline, Result
from durability.report.terminal import CrashProgress, show
from durability.targets import catalogue
from durability.targets.contract import Tear
from durability.trace import trace as traces
from durability.trace.kill_order import KillOrder

_KILLS: Final = 200
_RUN_DEADLINE_S: Final = 30.0
_RAM_DISK: Final = "/dev/shm"  # noqa: S108 - directories made in it are private and removed
_RAM_DISK_FREE_BYTES_MIN: Final = 1 << 28

_DIRECTORY: Final = click.Path(exists=True, file_okay=False, writable=True)

Command = Callable[..., Result]


def _output(context: click.Context, parameter: click.Parameter, path: str | None) -> str | None:
    """Refuse an output file whose folder is missing before the work is done, not after."""
    if path is not None and not os.path.isdir(os.path.dirname(path) or "."):
        raise click.BadParameter(f"the folder of {path!r} does not exist", context, parameter)
    return path


def reporting(name: str) -> Callable[[Command], Callable[..., None]]:
    """Turn a function that returns a Result into a command with the options all commands have."""

    def decorate(command: Command) -> Callable[..., None]:
        @click.option(
            "--json",
            "json_path",
            metavar="FILE",
            callback=_output,
            help="Write the result as JSON.",
        )
        @click.option(
            "--junit", "junit_path", metavar="FILE", callback=_output, help="Write it as JUnit XML."
        )
        @click.option(
            "--report",
            "page_path",
            metavar="FILE.html",
            callback=_output,
            help="Write it as a page.",
        )
        @click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Repeat a run's draws.")
        @click.option(
            "--budget",
            type=click.FloatRange(0, min_open=True),
            metavar="SECONDS",
            help="Stop beginning new work after this time.",
        )
        @click.option("--jobs", type=click.IntRange(1), help="Processes; by default one per CPU.")
        @click.option("--baseline", metavar="FILE", help="Known findings, which do not fail.")
        @functools.wraps(command)
        def wrapped(
            json_path: str | None,
            junit_path: str | None,
            page_path: str | None,
            baseline: str | None,
            **options: Any,
        ) -> None:
            result, usage = _outcome(name, command, baseline, options)
            try:
                _write(result, json_path, junit_path, page_path)
            except DurabilityError as error:
                show(result, Console())
                raise click.UsageError(str(error)) from error
            if usage is not None:
                raise click.UsageError(str(usage))
            show(result, Console())
            sys.exit(result.exit_status)

        return wrapped

    return decorate


def _outcome(
    name: str, command: Command, baseline: str | None, options: dict[str, Any]
) -> tuple[Result, UsageError | None]:
    """Run a command; return its result, and what was wrong with how it was called."""
    began = time.monotonic()
    usage: UsageError | None = None
    try:
        known = Baseline.load(baseline) if baseline else None
        result = command(**options)
        if known is not None:
            result.set_aside(known)
    except DurabilityError as error:
        usage = error if isinstance(error, UsageError) else None
        result = Result(name, seed=options["seed"], reasons=[str(error)])
        result.elapsed_s = time.monotonic() - began
    except KeyboardInterrupt:
        result = Result(name, seed=options["seed"], reasons=["interrupted"])
        result.elapsed_s = time.monotonic() - began
    return result, usage


def _write(
    result: Result, json_path: str | None, junit_path: str | None, page_path: str | None
) -> None:
    """Write a result in the forms that were asked for. Raises UsageError."""
    if json_path:
        write_json(result.document(), json_path)
    if junit_path:
        write_junit(result, junit_path)
    if page_path:
        write_page(result, page_path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="raft-durability")
def main() -> None:
    """Kill a node at an exact byte of its write stream, let it recover, audit what it promised."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Let a polite SIGTERM do what Ctrl-C does: stop, tidy up, report."""
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
@click.option("--directory", type=_DIRECTORY, help="Where to make data directories.")
@click.option("--findings", metavar="DIR", default=FINDINGS, help="Where to keep violations.")
@reporting("crash")
def crash(
    target: str,
    *,
    kills: int | None,
    tear: Tear | None,
    mechanism: str,
    at: KillOrder | None,
    directory: str | None,
    findings: str,
    **common: Any,
) -> Result:
    """Run TARGET, SIGKILL it at exact offsets of its write stream, recover, audit.

    TARGET is `reference`, the built-in Raft node, one that `durability targets` lists, or a TOML
    file that describes a program.
    """
    found = catalogue.find(target)
    chosen, why = exact_or_timer() if mechanism == "auto" else (cast("Mechanism", mechanism), "")
    tear = "none" if chosen == "timer" else tear or found.tear
    wanted = 1 if at else kills or _KILLS
    plan = Plan(
        target_name=os.path.abspath(target) if target.endswith(".toml") else target,
        seed=secrets.randbits(32) if common["seed"] is None else common["seed"],
        mechanism=chosen,
        tear=tear,
        directory=directory or _data_directories(),
        findings=findings,
        deadline_s=_RUN_DEADLINE_S,
        at=None if at is None else KillOrder(at.offset, at.calls, tear),
    )
    limits = Limits(
        kills=wanted,
        explicit=kills is not None or at is not None,
        jobs=min(wanted, common["jobs"] or len(os.sched_getaffinity(0))),
        budget_s=common["budget"],
    )
    with CrashProgress(wanted, Console(stderr=True)) as progress:

        def advance(cycle: Cycle) -> None:
            progress(
                landed=cycle.landed,
                torn=cycle.torn,
                acknowledged=cycle.acknowledged,
                violating=bool(cycle.found),
            )

        result = crash_loop(found, plan, limits, advance)
    if why:
        result.notes.append(why)
    return result


def _data_directories() -> str:
    """Return a RAM disk with room, else the temporary directory: a kill loses no page cache."""
    try:
        free = shutil.disk_usage(_RAM_DISK).free
    except OSError:
        free = 0
    usable = free >= _RAM_DISK_FREE_BYTES_MIN and os.access(_RAM_DISK, os.W_OK | os.X_OK)
    return _RAM_DISK if usable else tempfile.gettempdir()


@main.command()
@click.argument("directories", metavar="DIR...", nargs=-1, required=True)
@click.option("--recovered", is_flag=True, help="The node has recovered them: no left-overs.")
@reporting("audit")
def audit(directories: tuple[str, ...], *, recovered: bool, **_: Any) -> Result:
    """Audit data directories at rest, of raft.cr (v1) or of our node (v2), changing nothing."""
    began = time.monotonic()
    audits = [audit_directory(directory, recovered=recovered) for directory in directories]
    result = Result("audit", figures={"directories": msgspec.to_builtins(audits)})
    for found in audits:
        option = " --recovered" if recovered else ""
        result.violations += [
            msgspec.structs.replace(
                violation,
                message=f"{found.path}: {violation.message}",
                reproduce=f"durability audit{option} {shlex.quote(found.path)}",
            )
            for violation in found.violations
        ]
        result.notes += [f"{found.path}: {note}" for note in found.notes]
        if found.verdict == "inconclusive":
            result.reasons.append(_inconclusive(found))
    result.elapsed_s = time.monotonic() - began
    return result


def _inconclusive(audit: DirectoryAudit) -> str:
    what = "its format is not known" if audit.format == "unknown" else "its last batch is ambiguous"
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
@click.option("-o", "--output", required=True, metavar="FILE", help="A new file.")
@click.option("--directory", type=_DIRECTORY, help="Where to make the data directory.")
@reporting("trace")
def record_command(target: str, output: str, directory: str | None, **_: Any) -> Result:
    """Record one run of TARGET into FILE."""
    found = catalogue.find(target)
    plan = Plan(
        target_name=target,
        seed=0,
        mechanism="seccomp",
        tear="none",
        directory=directory or _data_directories(),
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
@click.option("--directory", type=_DIRECTORY, help="Where to make data directories.")
@reporting("doctor")
def doctor_command(directory: str | None, **_: Any) -> Result:
    """Show what this machine can do by doing it: exact kill, torn write, order of promises."""
    return doctor(directory or _data_directories())
