"""A program described in TOML: `docs/targets.md` explains each key.

Whatever is wrong with the description is a `TargetError` that names the file, the key and what is
expected there; a key that is not known is refused, so that a misspelt one is never ignored.
"""

import importlib.util
import os
import re
import shutil
import socket
import sys
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from durability.errors import TargetError
from durability.targets.contract import Command, Order, Speech, Target

_PLACEHOLDER: Final = re.compile(r"\{(data|port)\}")

Text = Annotated[str, Meta(pattern=r"^[^\0]*$")]
"""A NUL ends a string for the kernel: in an argument or a path it could only mislead."""


class _Process(Struct, frozen=True, forbid_unknown_fields=True):
    """What is common to all that is executed."""

    command: Annotated[list[Text], Meta(min_length=1)]
    env: dict[Annotated[str, Meta(pattern=r"^[^=\0]+$")], Text] = {}
    cwd: Text = "."


class _Run(_Process, frozen=True, kw_only=True):
    ack: str
    item: str | None = None


class _Recover(_Process, frozen=True, kw_only=True):
    item: str
    order: Order = "exact"
    timeout_s: Annotated[float, Meta(gt=0, le=86400)] = 10.0


class _Audit(Struct, frozen=True, forbid_unknown_fields=True):
    python: Annotated[str, Meta(pattern=r"^[\w.]+:\w+$")]


class _Description(Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1)]
    run: _Run
    recover: _Recover
    setup: _Process | None = None
    audit: _Audit | None = None


_SECTIONS: Final[Mapping[str, type[Struct]]] = {
    "": _Description,
    "run": _Run,
    "recover": _Recover,
    "setup": _Process,
    "audit": _Audit,
}

_EXPECTED: Final[Mapping[str, str]] = {
    "run": "a table",
    "recover": "a table",
    "setup": "a table",
    "audit": "a table",
    "command": "a list of strings, the program first",
    "env": "a table of strings, no name with a = in it",
    "order": '"exact" or "set"',
    "timeout_s": "a number of seconds above 0, at most 86400",
    "python": '"module:function"',
}


def load_program(path: str) -> Target:
    """Read the description of a program.

    Raises TargetError where the file, one of its keys, or a program it names cannot be used.
    """
    described = _read(path)
    run, recover = described.run, described.recover
    return Target(
        name=described.name,
        workload=_launcher(path, "run", run),
        recovery=_launcher(path, "recover", recover),
        speech=Speech(
            acknowledged=_pattern(path, "run.ack", run.ack),
            announced=None if run.item is None else _pattern(path, "run.item", run.item),
            recovered=_pattern(path, "recover.item", recover.item),
        ),
        order=recover.order,
        recovery_timeout_s=recover.timeout_s,
        setup=_launcher(path, "setup", described.setup) if described.setup else lambda _: None,
        audit=_judge(path, described.audit.python) if described.audit else None,
    )


def _read(path: str) -> _Description:
    try:
        with open(path, "rb") as file:
            table = tomllib.loads(file.read().decode())
    except OSError as error:
        raise TargetError(f"{path}: {error.strerror}; expected a TOML file") from error
    except (ValueError, RecursionError) as error:
        raise TargetError(f"{path}: not TOML in UTF-8: {error}") from error
    try:
        return msgspec.convert(table, _Description)
    except msgspec.ValidationError as error:
        raise TargetError(f"{path}: {_explained(str(error))}") from error


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


def _pattern(path: str, key: str, text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise TargetError(f"{path}: {key}: not a regular expression: {error}") from error
    if "id" not in pattern.groupindex:
        raise TargetError(f"{path}: {key}: expected a group named id, as in '^item (?P<id>.+)$'")
    return pattern


def _launcher(path: str, section: str, process: _Process) -> Callable[[str], Command]:
    home = os.path.dirname(os.path.abspath(path))
    cwd = os.path.join(home, process.cwd)
    if not _PLACEHOLDER.search(process.cwd) and not os.path.isdir(cwd):
        raise TargetError(f"{path}: {section}.cwd: expected a directory, {cwd} is none")
    program = _program(home, process)
    if program is None:
        raise TargetError(
            f"{path}: {section}.command: {process.command[0]!r} is not an executable file"
            " (with a slash it is relative to this file, without one it is looked up on PATH)"
        )
    return partial(_command, program, home, process)


def _program(home: str, process: _Process) -> str | None:
    name = process.command[0]
    if "/" in name:
        return shutil.which(os.path.join(home, name))
    found = shutil.which(name, path=process.env.get("PATH"))
    return found and os.path.abspath(found)


def _command(program: str, home: str, process: _Process, directory: str) -> Command:
    """Fill in the placeholders for one launch on a data directory."""
    texts = (*process.command[1:], *process.env.values(), process.cwd)
    values = {"data": os.path.abspath(directory)}
    if any("{port}" in text for text in texts):
        values["port"] = str(_free_port())

    def filled(text: str) -> str:
        return _PLACEHOLDER.sub(lambda found: values[found[1]], text)

    return Command(
        argv=(program, *map(filled, process.command[1:])),
        env={**os.environ, **{name: filled(value) for name, value in process.env.items()}},
        cwd=os.path.join(home, filled(process.cwd)),
    )


def _free_port() -> int:
    """Ask the system for a TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _judge(path: str, named: str) -> Callable[[str, list[str]], None]:
    name, _, function = named.partition(":")
    module = _imported(path, name)
    judge: Any = getattr(module, function, None)
    if not callable(judge):
        raise TargetError(f"{path}: audit.python: {module.__file__} has no function {function!r}")

    def audit(directory: str, acknowledged: list[str]) -> None:
        judge(directory, acknowledged)

    return audit


def _imported(path: str, name: str) -> ModuleType:
    """Import a module by its place beside the TOML file, and let it import its neighbours."""
    home = os.path.dirname(os.path.abspath(path))
    file = os.path.join(home, *name.split(".")) + ".py"
    # Under the file's own path: two programs may each have a `checks`, and neither is ours.
    specification = importlib.util.spec_from_file_location(file, file)
    if specification is None or specification.loader is None or not os.path.isfile(file):
        raise TargetError(f"{path}: audit.python: there is no module {file}")
    module = importlib.util.module_from_spec(specification)
    sys.modules[file] = module
    if home not in sys.path:
        sys.path.append(home)  # last, so that it hides nothing from this process
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise TargetError(f"{path}: audit.python: {file}: {error!r}") from error
    return module
