"""A finding kept on disk: the directory a crash left, its trace, and what was broken.

    durability-findings/my-store-lost-4711/
        finding.json    the target, the kill, the violations
        trace           every change of the run, with what it had promised
        crashed/        the data directory as the kill left it

Recovery is never run on `crashed/` itself: a replay copies it first. A finding gets its name when
it is whole; what is still being written has a name of its own.
"""

import errno
import os
import re
import secrets
import shutil
from itertools import count
from typing import Final, Literal

import msgspec

from durability.audit.promises import Heard
from durability.audit.violation import Violation
from durability.errors import CannotKeepError, UnreadableError
from durability.trace import trace as traces
from durability.trace.trace import Trace

FINDINGS: Final = "durability-findings"


UNFINISHED: Final = ".unfinished"
"""How the name of a finding ends that is still being written."""

_STEM_CHARACTERS_MAX: Final = 200
_TAKEN: Final = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)
"""How a rename of a folder fails where something else has the name."""


class Finding(msgspec.Struct, kw_only=True):
    """`target` is a name or an absolute path, `at` a kill order as `--at` takes it.

    `later` are the items that a run without a kill announces, as `Ledger` takes them: without them
    a replay would judge by other rules than the run. The trace is that of the last run, or `killed`
    says of the last recovery; `earlier` is what had been heard on the same directory before.
    """

    target: str
    at: str
    tear: str
    seed: int
    violations: list[Violation]
    later: list[str] = []
    killed: Literal["run", "recovery"] = "run"
    earlier: list[Heard] = []

    def heard(self, trace: Trace) -> list[Heard]:
        """Return all that was promised, the finding's trace included."""
        return [*self.earlier, Heard(self.killed, list(trace.lines()))]


def keep(finding: Finding, trace: Trace, name: str, where: str) -> str:
    """Write a finding below `where`; return the folder that was made for it.

    Two runs at once, or two findings of one name, do not meet: a number is appended. Raises
    CannotKeepError where it cannot be written; nothing of it is left then.
    """
    kind = finding.violations[0].kind
    stem = file_stem(f"{name}-{kind}-{finding.at}")
    unfinished = os.path.join(where, f".{secrets.token_hex(8)}{UNFINISHED}")
    try:
        os.makedirs(unfinished)
        _write(finding, trace, unfinished)
        return _named(unfinished, os.path.join(where, stem))
    except OSError as error:
        raise CannotKeepError(f"the finding cannot be kept in {where}: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)  # there is none where it got its name


def file_stem(text: str) -> str:
    """Return a text as a part of a file name, without what a shell or a file system may mind."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[-_STEM_CHARACTERS_MAX:]


def _write(finding: Finding, trace: Trace, folder: str) -> None:
    with open(os.path.join(folder, "finding.json"), "xb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(finding)))
    traces.save(trace, os.path.join(folder, "trace"))
    crashed = os.path.join(folder, "crashed")
    os.mkdir(crashed)
    trace.tree().write_to(os.fsencode(crashed))


def _named(unfinished: str, stem: str) -> str:
    """Give a finished folder the first name that is free; return it."""
    for number in count(1):
        folder = stem if number == 1 else f"{stem}-{number}"
        try:
            os.rename(unfinished, folder)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        else:
            break
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
