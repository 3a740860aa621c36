"""A crash state kept in one file: what a power cut left, what had been promised, what was broken.

The file is zstandard-compressed MessagePack: a header (`magic`, `version`), then the case. It holds
the directory itself, so it can be recovered again wherever the target can be run.
"""

import os
import secrets
from contextlib import suppress
from itertools import count
from typing import Final, Literal

import msgspec
import zstandard

from durability.audit.promises import Heard
from durability.audit.violation import Violation
from durability.crash.content import Content
from durability.errors import CannotKeepError, UnreadableError
from durability.report.finding import UNFINISHED, file_stem

SUFFIX: Final = ".crash-state"
MAGIC: Final = "durability crash state"
VERSION: Final = 1
_BYTES_MAX: Final = 1 << 30


Damage = Literal["", "lying", "rot"]


class LostOperation(msgspec.Struct, frozen=True):
    """A part of a call that was on disk, or was not: `call` is its record, `operation` the part.

    `source` are the lines of the program that made the call, where they are known.
    """

    operation: str
    call: str
    path: str
    offset: int | None = None
    source: str = ""


class LossViolation(Violation, frozen=True, kw_only=True):
    """What a power cut broke.

    `model` permits the state; the same was seen under `strongest_model`. Where a disk failed, that
    is the failure's name instead, and there is no strongest. Of what was not durable at
    the cut, `persisted` is there and `lost` is not. `confirmed` says on which file system it was
    seen really to happen, if it was.
    """

    model: str
    persisted: tuple[LostOperation, ...] = ()
    lost: tuple[LostOperation, ...] = ()
    confirmed: str | None = None


class CrashStateCase(msgspec.Struct, kw_only=True):
    """`target` is a name or an absolute path; `heard` are the lines that were printed by the cut.

    `later` are the items that a whole run announces, as `Ledger` takes them. The lines are those
    `of` a run, or of a recovery that was cut off; `earlier` is what had been heard before it.
    `damage` says what a disk has done of itself, if anything: `disk.damage_rule` holds then.
    """

    target: str
    heard: list[str]
    later: list[str]
    of: Literal["run", "recovery"] = "run"
    earlier: list[Heard] = []
    violations: list[LossViolation]
    files: dict[bytes, bytes]
    links: dict[bytes, bytes]
    directories: list[bytes]
    damage: Damage = ""

    @property
    def content(self) -> Content:
        """What was on disk."""
        return Content(self.files, self.links, frozenset(self.directories))

    @property
    def all_heard(self) -> list[Heard]:
        """All that was promised."""
        return [*self.earlier, Heard(self.of, self.heard)]


class _File(msgspec.Struct, frozen=True):
    magic: str
    version: int
    case: msgspec.Raw


def keep(case: CrashStateCase, name: str, where: str) -> str:
    """Write a case below `where`, under a name that is free; return its path.

    Raises CannotKeepError where it cannot be written.
    """
    first = case.violations[0]
    text = f"{name}-{first.kind}-{first.strongest_model or first.model}"
    stem = file_stem(text)
    document = _File(MAGIC, VERSION, msgspec.Raw(msgspec.msgpack.encode(case)))
    data = zstandard.compress(msgspec.msgpack.encode(document))
    unfinished = os.path.join(where, f".{secrets.token_hex(8)}{UNFINISHED}")
    try:
        os.makedirs(where, exist_ok=True)
        with open(unfinished, "xb") as file:
            file.write(data)
        for number in count(1):
            path = os.path.join(where, f"{stem}{'' if number == 1 else f'-{number}'}{SUFFIX}")
            try:
                os.link(unfinished, path)
            except FileExistsError:
                continue
            break
    except OSError as error:
        raise CannotKeepError(f"the finding cannot be kept in {where}: {error}") from error
    finally:
        with suppress(OSError):  # there is none, or nowhere to be
            os.unlink(unfinished)
    return path


def load(path: str) -> CrashStateCase:
    """Read a case. Raises UnreadableError."""
    try:
        with open(path, "rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file)
            content = reader.read(_BYTES_MAX)
        document = msgspec.msgpack.decode(content, type=_File)
        if (document.magic, document.version) != (MAGIC, VERSION):
            raise UnreadableError(
                f"{path}: a {document.magic!r} of version {document.version}; "
                f"this reads a {MAGIC!r} of version {VERSION}"
            )
        return msgspec.msgpack.decode(document.case, type=CrashStateCase)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from error
    except (zstandard.ZstdError, msgspec.MsgspecError, ValueError) as error:
        raise UnreadableError(f"{path}: not a crash state: {error}") from error
