"""What all commands have in common: their options, and how they end.

Every command ends in one `Result`, shown on the terminal and written where the options say. The
exit status is 0 held, 1 violation, 2 wrong usage, 3 inconclusive. A violation wins over all else; a
report that cannot be written makes an inconclusive run of one that held.
"""

import errno
import functools
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import click
from rich.console import Console

from durability.errors import DurabilityError, ExitStatus, UsageError
from durability.report.document import write_json
from durability.report.finding import FINDINGS
from durability.report.junit import write_junit
from durability.report.page import write_page
from durability.report.result import Baseline, Result
from durability.report.terminal import show

Command = Callable[..., Result]

MEASURE = click.option(
    "--measure",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    metavar="SECONDS",
    help="How long a run is followed where nothing kills it; by default 5.",
)
"""For commands that trace a run, as `measure`."""

KEEPING = click.option(
    "--findings", metavar="DIR", default=FINDINGS, help="Where to keep violations."
)
"""For commands that keep what they find, as `findings`."""


def output(context: click.Context, parameter: click.Parameter, path: str | None) -> str | None:
    """Refuse a file that cannot be written before the work is done, not after."""
    if path is None:
        return None
    folder = os.path.dirname(os.path.realpath(path))
    is_stream = os.path.exists(path) and not os.path.isfile(path)
    wrong = ""
    if os.path.isdir(path):
        wrong = f"{path!r} is a folder: name a file in it"
    elif not os.path.isdir(folder):
        wrong = f"the folder of {path!r} does not exist"
    elif not os.access(path if is_stream else folder, os.W_OK):
        wrong = f"{path!r} may not be written"
    if wrong:
        raise click.BadParameter(wrong, context, parameter)
    return path


class _Outputs(NamedTuple):
    """The files that a result is to be written to, each or none."""

    json: str | None
    junit: str | None
    page: str | None

    def are_distinct(self) -> bool:
        """Tell whether none would replace another."""
        paths = [os.path.realpath(path) for path in self if path is not None]
        return len(set(paths)) == len(paths)

    def write(self, result: Result) -> list[str]:
        """Write a result in each form that was asked for; return what went wrong.

        That is added to its reasons. JSON comes last, so it always tells how the command ends.
        """
        failures: list[str] = []
        for path, write in (
            (self.page, write_page),
            (self.junit, write_junit),
            (self.json, _write_json),
        ):
            if path is not None:
                try:
                    write(result, path)
                except UsageError as error:
                    failures.append(str(error))
                    result.reasons.append(str(error))
        return failures


def _write_json(result: Result, path: str) -> None:
    write_json(result.document(), path)


def reporting(
    name: str, *, campaign: bool = False, program: str = "durability"
) -> Callable[[Command], Callable[..., None]]:
    """Turn a function that returns a Result into a command with the options all commands have.

    Some of them act only on a `campaign` of many runs; the others accept these too. `program` is
    what the command belongs to.
    """
    unless = "" if campaign else " No effect here."

    def decorate(command: Command) -> Callable[..., None]:
        @click.option(
            "--json", "json_path", metavar="FILE", callback=output, help="Write the result as JSON."
        )
        @click.option(
            "--junit", "junit_path", metavar="FILE", callback=output, help="Write it as JUnit XML."
        )
        @click.option(
            "--report",
            "page_path",
            metavar="FILE.html",
            callback=output,
            help="Write it as a page.",
        )
        @click.option(
            "--seed", type=click.IntRange(0, 2**63 - 1), help=f"Repeat a run's draws.{unless}"
        )
        @click.option(
            "--budget",
            type=click.FloatRange(0, min_open=True),
            metavar="SECONDS",
            help=f"Stop beginning new work after this time.{unless}",
        )
        @click.option(
            "--jobs", type=click.IntRange(1), help=f"Processes; by default one per CPU.{unless}"
        )
        @click.option(
            "--baseline",
            metavar="FILE",
            help="The JSON of an earlier run: what it found is known and does not fail this one.",
        )
        @functools.wraps(command)
        def wrapped(
            json_path: str | None,
            junit_path: str | None,
            page_path: str | None,
            baseline: str | None,
            **options: Any,
        ) -> None:
            outputs = _Outputs(json_path, junit_path, page_path)
            if not outputs.are_distinct():
                raise click.UsageError("two reports are to be written to one file")
            result = _outcome(name, command, baseline, options)
            result.program = program
            errors = list(result.reasons) if result.misused else []
            if not _print(result):
                errors.append("the summary cannot be printed")
                result.reasons.append(errors[-1])
            errors += outputs.write(result)
            for text in errors:
                click.echo(f"Error: {text}", err=True)
            sys.exit(result.exit_status)

        return wrapped

    return decorate


def _outcome(name: str, command: Command, baseline: str | None, options: dict[str, Any]) -> Result:
    """Run a command; whatever becomes of it is a result."""
    began = time.monotonic()
    failed = Result(name, seed=options["seed"])
    try:
        known = Baseline.load(baseline) if baseline else None
        result = command(**options)
        if known is not None:
            result.set_aside(known)
    except DurabilityError as error:
        failed.misused = isinstance(error, UsageError)
        failed.reasons.append(str(error))
    except OSError as error:
        failed.reasons.append(f"this machine refused: {error}")
    except KeyboardInterrupt:
        failed.reasons.append("interrupted")
    except Exception as error:  # noqa: BLE001 - a defect of ours must not look like a violation
        traceback.print_exc()
        failed.reasons.append(f"a defect of durability itself: {error!r}")
    else:
        return result
    failed.elapsed_s = time.monotonic() - began
    return failed


def _print(result: Result) -> bool:
    """Show a result, unless nothing was done; tell whether standard output took it.

    That nobody reads it to its end is the reader's own business.
    """
    if result.misused and not result.figures:
        return True
    try:
        show(result, _Console())
        sys.stdout.flush()
    except OSError as error:
        _abandon_stdout()
        return isinstance(error, BrokenPipeError)
    return True


class _Console(Console):
    """A console that lets a reader go: rich would exit with 1, which says violation."""

    def on_broken_pipe(self) -> None:
        """Pass it on."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _abandon_stdout() -> None:
    """Have the interpreter's own flush at its end succeed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class CommandGroup(click.Group):
    """All commands. What none of them foresaw ends with 3, where click would say 1: a violation."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        status = ExitStatus.INCONCLUSIVE
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except BrokenPipeError:
            _abandon_stdout()
            status = ExitStatus.HELD
        except OSError as error:
            _abandon_stdout()
            click.echo(f"Error: {error}", err=True)
        except (KeyboardInterrupt, click.Abort):
            click.echo("Error: interrupted", err=True)
        except Exception:  # noqa: BLE001 - a defect of ours must not look like a violation
            traceback.print_exc()
        return ctx.exit(status)
