"""The description of a program in TOML, key by key, as it stands in the file.

Whatever is wrong with it is a `TargetError` that names the file, the key and what is expected
there; a key that is not known is refused, so that a misspelt one is never ignored.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from durability.errors import TargetError
from durability.targets.contract import Order

Text = Annotated[str, Meta(pattern=r"^[^\0]*$")]
"""A NUL ends a string for the kernel: in an argument or a path it could only mislead."""

Pattern = Annotated[str, Meta(max_length=300)]
"""A regular expression. `re` needs two calls within each other for each group that is opened: how
deep they may be must not depend on who compiles it.
"""


class Process(Struct, frozen=True, forbid_unknown_fields=True):
    """What is common to all that is executed."""

    command: Annotated[list[Text], Meta(min_length=1)]
    env: dict[Annotated[str, Meta(pattern=r"^[^=\0]+$")], Text] = {}
    cwd: Text = "."


class Run(Process, frozen=True, kw_only=True):
    """The program that writes; where there is a client, a server that only serves."""

    ack: Pattern | None = None
    item: Pattern | None = None
    ready: Annotated[int, Meta(ge=1, le=65535)] | Pattern | None = None


class Client(Process, frozen=True, kw_only=True):
    """The program that drives a server, and speaks for it."""

    ack: Pattern
    item: Pattern | None = None


class Recover(Process, frozen=True, kw_only=True):
    """The program that says what a crash has left; with `serve` it asks the server again."""

    item: Pattern
    order: Order = "exact"
    timeout_s: Annotated[float, Meta(gt=0, le=86400)] = 10.0
    serve: bool = False


class Trace(Struct, frozen=True, forbid_unknown_fields=True):
    """What the tracer should know."""

    volatile: list[Annotated[str, Meta(min_length=1)]] = []


class Audit(Struct, frozen=True, forbid_unknown_fields=True):
    """A check of the user's own."""

    python: Annotated[str, Meta(pattern=r"^\w+(\.\w+)*:\w+$")]


class Description(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    name: Annotated[str, Meta(min_length=1)]
    run: Run
    recover: Recover
    client: Client | None = None
    setup: Process | None = None
    trace: Trace = Trace()
    audit: Audit | None = None


_SECTIONS: Final[Mapping[str, type[Struct]]] = {
    "": Description,
    "run": Run,
    "recover": Recover,
    "client": Client,
    "setup": Process,
    "trace": Trace,
    "audit": Audit,
}

_EXPECTED: Final[Mapping[str, str]] = {
    "run": "a table",
    "recover": "a table",
    "client": "a table",
    "setup": "a table",
    "trace": "a table",
    "audit": "a table",
    "command": "a list of strings, the program first",
    "ack": "a regular expression of at most 300 characters",
    "item": "a regular expression of at most 300 characters",
    "env": "a table of strings, no name with a = in it",
    "ready": 'a regular expression for a line of stdout, a port from 1 to 65535, or "{port}"',
    "order": '"exact" or "set"',
    "timeout_s": "a number of seconds above 0, at most 86400",
    "serve": "true or false",
    "volatile": 'a list of patterns of paths, as "*-shm"',
    "python": '"module:function"',
}


def read(path: str) -> Description:
    """Read a description. Raises TargetError."""
    try:
        with open(path, "rb") as file:
            table = tomllib.loads(file.read().decode())
    except OSError as error:
        raise TargetError(f"{path}: {error.strerror}; expected a TOML file") from error
    except (ValueError, RecursionError) as error:
        raise TargetError(f"{path}: not TOML in UTF-8: {error}") from error
    try:
        described = msgspec.convert(table, Description)
    except msgspec.ValidationError as error:
        raise TargetError(f"{path}: {_explained(str(error))}") from error
    if contradiction := _contradiction(described):
        raise TargetError(f"{path}: {contradiction}")
    return described


def _contradiction(described: Description) -> str:
    """Return which keys do not go together; mostly nothing."""
    run = described.run
    if described.client is None:
        if run.ack is None:
            return "run.ack: missing"
        if run.ready is not None and not described.recover.serve:
            return "run.ready: nobody waits for it: there is neither [client] nor recover.serve"
    for key, value in (("ack", run.ack), ("item", run.item)):
        if described.client is not None and value is not None:
            return f"run.{key}: the client speaks, not the server; expected in [client]"
    return ""


def _explained(mistake: str) -> str:
    """Put what msgspec says, as in 'Expected `str`, got `int` - at `$.name`', in TOML's terms."""
    what, _, where = mistake.partition(" - at `")
    where = where.removeprefix("key` in `").removeprefix("$.").rstrip("`")
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what):
        known = ", ".join(_SECTIONS[where].__struct_fields__)
        return f"{where}.{unknown[1]}".lstrip(".") + f": unknown key; known here: {known}"
    if missing := re.fullmatch(r"Object missing required field `(.*)`", what):
        return f"{where}.{missing[1]}".lstrip(".") + ": missing"
    section, *keys = re.split(r"[.\[]", where)
    expected = _EXPECTED.get(keys[0] if keys else section)
    return f"{where}: {what[0].lower()}{what[1:]}" + (f" ({expected})" if expected else "")
