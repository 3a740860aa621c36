"""docs/targets.md, read a second time: which descriptions of a program it permits."""

import os
import re
import shutil
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, Final

_PROCESS: Final = {"command", "env", "cwd"}
_SECTIONS: Final[Mapping[str, set[str]]] = {
    "run": _PROCESS | {"ack", "item", "ready"},
    "client": _PROCESS | {"ack", "item"},
    "recover": _PROCESS | {"item", "order", "timeout_s", "serve"},
    "setup": _PROCESS,
    "trace": {"volatile"},
    "audit": {"python"},
}
_PATTERN_CHARACTERS_MAX: Final = 300
_PROCESSES: Final = ("run", "client", "recover", "setup")
_PLACEHOLDER: Final = re.compile(r"\{(?:data|port)\}")

Table = dict[str, Any]


def permitted(data: bytes, home: str, judges: set[str]) -> Table | None:
    """Return the table of a description that is permitted in the directory `home`, else None.

    `judges` are the functions there that may audit, as `module:function`.
    """
    try:
        table = tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        return None
    return table if _is_permitted(table, home, judges) else None


def _is_permitted(table: Table, home: str, judges: set[str]) -> bool:
    return (
        {"name", "run", "recover"} <= table.keys() <= {"name"} | _SECTIONS.keys()
        and isinstance(table["name"], str)
        and table["name"] != ""
        and all(
            isinstance(section, dict) and section.keys() <= _SECTIONS[name]
            for name, section in table.items()
            if name != "name"
        )
        and all(_is_process(table[name], home) for name in _PROCESSES if name in table)
        and _is_said(table)
        and _is_ready(table)
        and _is_recover(table["recover"])
        and _is_list(table.get("trace", {}).get("volatile", []), lambda pattern: pattern != "")
        and ("audit" not in table or table["audit"].get("python") in judges)
    )


def _is_process(section: Table, home: str) -> bool:
    command, env, cwd = section.get("command"), section.get("env", {}), section.get("cwd", ".")
    return (
        isinstance(command, list)
        and command != []
        and _is_list(command, lambda part: "\0" not in part)
        and isinstance(cwd, str)
        and "\0" not in cwd
        and isinstance(env, dict)
        and all(key and not set(key) & {"=", "\0"} for key in env)
        and _is_list([*env.values()], lambda value: "\0" not in value)
        and (bool(_PLACEHOLDER.search(cwd)) or os.path.isdir(os.path.join(home, cwd)))
        and _is_executable(command[0], env.get("PATH"), home)
    )


def _is_executable(program: str, path: str | None, home: str) -> bool:
    if "/" in program:
        return shutil.which(os.path.join(home, program)) is not None
    return shutil.which(program, path=path) is not None


def _is_list(values: Any, is_good: Callable[[str], bool]) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, str) and is_good(value) for value in values
    )


def _is_said(table: Table) -> bool:
    """Say whether one process, and only that one, says what is acknowledged."""
    run, client = table["run"], table.get("client")
    if client is not None and run.keys() & {"ack", "item"}:
        return False
    speaker = run if client is None else client
    return _names_items(speaker.get("ack")) and (
        "item" not in speaker or _names_items(speaker["item"])
    )


def _is_ready(table: Table) -> bool:
    """Say whether what makes the server ready is good, and somebody waits for it."""
    if "ready" not in table["run"]:
        return True
    ready = table["run"]["ready"]
    if "client" not in table and table["recover"].get("serve") is not True:
        return False
    if isinstance(ready, str):
        if len(ready) > _PATTERN_CHARACTERS_MAX:
            return False
        return ready == "{port}" or _groups(_PLACEHOLDER.sub("(?:1)", ready)) is not None
    return type(ready) is int and 1 <= ready <= 65535


def _is_recover(section: Table) -> bool:
    timeout_s = section.get("timeout_s", 10.0)
    return (
        _names_items(section.get("item"))
        and section.get("order", "exact") in ("exact", "set")
        and type(timeout_s) in (int, float)
        and 0 < timeout_s <= 86400
        and type(section.get("serve", False)) is bool
    )


def _names_items(pattern: Any) -> bool:
    return (
        isinstance(pattern, str)
        and len(pattern) <= _PATTERN_CHARACTERS_MAX
        and "id" in (_groups(pattern) or ())
    )


def _groups(pattern: str) -> Mapping[str, int] | None:
    """Return the named groups of a regular expression; None where it is none."""
    try:
        return re.compile(pattern).groupindex
    except (re.error, ValueError, OverflowError):
        return None
