"""`python -m durability.crash.validation ext4-ordered xfs btrfs --cuts 2000`: needs root.

Exit 0: every state was explained and every harm that a model permits was shown; 1: not so; 2: the
command line is wrong; 3: file systems cannot be made or mounted here.
"""

import os
import signal
import sys
import time
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Final

import click
import msgspec

from durability.crash.validation import kernel
from durability.crash.validation.file_system import unavailable
from durability.crash.validation.judge import FILE_SYSTEMS, Judgement, judge
from durability.errors import MechanismError

_DIFFERENT: Final = 1
_INCONCLUSIVE: Final = 3


class Report(msgspec.Struct, frozen=True):
    """What `--json` writes."""

    kernel: str
    seed: int
    elapsed_s: float
    missing: dict[str, list[str]]
    judgements: list[Judgement]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("models", nargs=-1, required=True, type=click.Choice(list(FILE_SYSTEMS)))
@click.option("--cuts", default=2000, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=1, show_default=True)
@click.option("--json", "path", type=click.Path(dir_okay=False), help="Write the report to a file.")
def main(models: tuple[str, ...], cuts: int, seed: int, path: str | None) -> None:
    """Let this kernel judge persistence MODELS: cut the power of real file systems."""
    for model in models:
        reason = unavailable(FILE_SYSTEMS[model][0])
        if reason is not None:
            click.echo(f"{model}: {reason}", err=True)
            sys.exit(_INCONCLUSIVE)
    signal.signal(signal.SIGTERM, _stop)
    began = time.monotonic()
    try:
        kernel.enter_private_mounts()
        with TemporaryDirectory(prefix="durability-") as directory:
            judgements = [judge(model, cuts, seed, directory) for model in models]
    except (MechanismError, OSError) as error:
        click.echo(str(error), err=True)
        sys.exit(_INCONCLUSIVE)
    missing = {judgement.model: judgement.missing for judgement in judgements}
    report = Report(os.uname().release, seed, time.monotonic() - began, missing, judgements)
    if path is not None:
        with open(path, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(report)))
    for judgement in judgements:
        _tell(judgement)
    if any(judgement.unexplained or judgement.missing for judgement in judgements):
        sys.exit(_DIFFERENT)
    sys.exit(_INCONCLUSIVE if any(judgement.untried for judgement in judgements) else 0)


def _stop(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _tell(judgement: Judgement) -> None:
    click.echo(
        f"{judgement.model}: {judgement.cuts} cuts, {len(judgement.unexplained)} not explained,"
        f" {judgement.cut_short} runs cut short by a call that is not supported"
    )
    for name, count in judgement.shown.items():
        click.echo(f"  {count:5} {name}")
    for name in judgement.missing:
        click.echo(f"  never shown: {name}")
    for name in judgement.untried:
        click.echo(f"  not tried, for so few cuts: {name}")
    for found in judgement.unexplained:
        steps = [f"    {line}" for line in (*found.records, "left:", *found.found)]
        click.echo("\n".join([f"  not explained, run {found.seed}:", *steps]))


main()
