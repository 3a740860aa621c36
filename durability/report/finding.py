"""A finding kept on disk: the directory a crash left, its trace, and what was broken.

    durability-findings/my-store-lost-4711/
        finding.json    the target, the kill, the violations
        trace           every change of the run, with what it had promised
        crashed/        the data directory as the kill left it

Recovery is never run on `crashed/` itself: a replay copies it first.
"""

import os
import re
import shutil
from typing import Final, Literal

import msgspec

from durability.audit.promises import Heard
from durability.audit.violation import Violation
from durability.errors import UnreadableError
from durability.trace import trace as traces
from durability.trace.trace import Trace

FINDINGS: Final = "durability-findings"


class Finding(msgspec.Struct, kw_only=True):
    """`target` is a name or an absolute path, `at` a kill order as `--at` takes it.

    The trace is that of the last run, or `killed` says of the last recovery; `earlier` is what had
    been heard on the same directory before.
    """

    target: str
    at: str
    tear: str
    seed: int
    violations: list[Violation]
    killed: Literal["run", "recovery"] = "run"
    earlier: list[Heard] = []

    def heard(self, trace: Trace) -> list[Heard]:
        """Return all that was promised, the finding's trace included."""
        return [*self.earlier, Heard(self.killed, list(trace.lines()))]


def keep(finding: Finding, trace: Trace, name: str, where: str) -> str:
    """Write a finding below `where`; return the folder that was made for it.

    Two runs at once, or two findings of one name, do not meet: a number is appended.
    """
    kind = finding.violations[0].kind
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{name}-{kind}-{finding.at}")
    folder = _new_folder(os.path.join(where, stem))
    with open(os.path.join(folder, "finding.json"), "xb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(finding)))
    traces.save(trace, os.path.join(folder, "trace"))
    crashed = os.path.join(folder, "crashed")
    os.mkdir(crashed)
    trace.tree().write_to(os.fsencode(crashed))
    return folder


def load(folder: str) -> tuple[Finding, Trace]:
    """Read a finding and its trace. Raises UnreadableError."""
    path = os.path.join(folder, "finding.json")
    try:
        with open(path, "rb") as file:
            finding = msgspec.json.decode(file.read(), type=Finding)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise UnreadableError(f"{path}: not a finding: {error}") from error
    return finding, traces.load(os.path.join(folder, "trace"))


def copy_crashed(folder: str, destination: str) -> None:
    """Copy the crashed directory into an existing empty one. Raises UnreadableError."""
    crashed = os.path.join(folder, "crashed")
    try:
        shutil.copytree(crashed, destination, symlinks=True, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        raise UnreadableError(f"{crashed}: cannot be copied: {error}") from error


def _new_folder(stem: str) -> str:
    number = 1
    while True:
        folder = stem if number == 1 else f"{stem}-{number}"
        try:
            os.makedirs(folder)
        except FileExistsError:
            number += 1
        else:
            return folder
