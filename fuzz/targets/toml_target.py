"""Invariant tested: exactly the descriptions that docs/targets.md permits are accepted.

An input is a TOML file, in a directory with a program `store` and a module `checks` that has a
function `judge`. Any other is refused with an error that names the file; of an accepted one each
command can be made, for a data directory, as it says.
"""

import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, Final

from durability.errors import TargetError
from durability.targets.contract import Command, Target
from durability.targets.program import load_program
from fuzz.laws import BrokenLawError
from fuzz.layout import Layout
from fuzz.target import Target as FuzzTarget

# A text: one line is as good as another.
TOML_TARGET: Final = Layout(())

_HOME: Final = tempfile.TemporaryDirectory(prefix="raft-fuzz-")
_PATH: Final = os.path.join(_HOME.name, "target.toml")
_SECTIONS: Final = {"run", "recover", "setup", "audit"}
_PROCESS_KEYS: Final = {"command", "env", "cwd"}


def _furnish(home: str) -> None:
    with open(os.path.join(home, "store"), "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), 0o700)
    with open(os.path.join(home, "checks.py"), "w", encoding="ascii") as file:
        file.write("not_a_function = 1\ndef judge(directory, acknowledged): pass\n")


_furnish(_HOME.name)


def check(data: bytes) -> None:
    """Load one description, and compare with what is said of it here."""
    with open(_PATH, "wb") as file:
        file.write(data)
    permitted = _permitted(data)
    try:
        target = load_program(_PATH)
    except TargetError as error:
        if permitted is not None:
            raise BrokenLawError(f"{permitted} is refused: {error}") from error
        if not str(error).startswith(f"{_PATH}: "):
            raise BrokenLawError(f"the error does not name the file: {error}") from error
    else:
        if permitted is None:
            raise BrokenLawError(f"{target} is accepted")
        _check_target(target, permitted)


def _check_target(target: Target, table: Mapping[str, Any]) -> None:
    said = (target.name, target.order, target.recovery_timeout_s, target.audit is not None)
    recover = table["recover"]
    order, timeout_s = recover.get("order", "exact"), recover.get("timeout_s", 10.0)
    if said != (table["name"], order, timeout_s, "audit" in table):
        raise BrokenLawError(f"{target} is not what {table} says")
    directory = os.path.join(_HOME.name, "data")
    launches: dict[str, Callable[[str], object]] = {
        "run": target.workload,
        "recover": target.recovery,
    }
    if "setup" in table:
        launches["setup"] = target.setup
    for section, launch in launches.items():
        command = launch(directory)
        wanted = [part.replace("{data}", directory) for part in table[section]["command"][1:]]
        given = list(command.argv[1:]) if isinstance(command, Command) else None
        # A free port is another one each time.
        if given != wanted and "{port}" not in "".join(wanted):
            raise BrokenLawError(f"[{section}] of {table} is launched with {given}")


def _permitted(data: bytes) -> dict[str, Any] | None:
    """Read docs/targets.md once more: the table of a description that it permits, else None."""
    try:
        table = tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        return None
    return table if _is_permitted(table) else None


def _is_permitted(table: Mapping[str, Any]) -> bool:
    name, audit = table.get("name"), table.get("audit")
    processes = [table[section] for section in ("run", "recover", "setup") if section in table]
    return (
        {"name", "run", "recover"} <= table.keys() <= {"name"} | _SECTIONS
        and isinstance(name, str)
        and name != ""
        and all(map(_is_process, processes))
        and _is_run(table["run"])
        and _is_recover(table["recover"])
        and table.get("setup", {}).keys() <= _PROCESS_KEYS
        and (audit is None or _is_audit(audit))
    )


def _is_process(section: Any) -> bool:
    if not isinstance(section, dict):
        return False
    command, env, cwd = section.get("command"), section.get("env", {}), section.get("cwd", ".")
    return (
        isinstance(command, list)
        and command != []
        and all(map(_is_text, [*command, cwd]))
        and isinstance(env, dict)
        and all(_is_text(value) for value in env.values())
        and all(key and not set(key) & {"=", "\0"} for key in env)
        and ("{data}" in cwd or "{port}" in cwd or os.path.isdir(os.path.join(_HOME.name, cwd)))
        and _is_executable(command[0], env.get("PATH"))
    )


def _is_executable(program: str, path: str | None) -> bool:
    if "/" in program:
        return shutil.which(os.path.join(_HOME.name, program)) is not None
    return shutil.which(program, path=path) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_run(section: Mapping[str, Any]) -> bool:
    item = section.get("item")
    return (
        section.keys() <= _PROCESS_KEYS | {"ack", "item"}
        and _is_pattern(section.get("ack"))
        and (item is None or _is_pattern(item))
    )


def _is_recover(section: Mapping[str, Any]) -> bool:
    timeout_s = section.get("timeout_s", 10.0)
    return (
        section.keys() <= _PROCESS_KEYS | {"item", "order", "timeout_s"}
        and _is_pattern(section.get("item"))
        and section.get("order", "exact") in ("exact", "set")
        and type(timeout_s) in (int, float)
        and 0 < timeout_s <= 86400
    )


def _is_pattern(value: Any) -> bool:
    try:
        return isinstance(value, str) and "id" in re.compile(value).groupindex
    except re.error:
        return False


def _is_audit(section: Any) -> bool:
    return bool(section == {"python": "checks:judge"})


TARGET: Final = FuzzTarget(check=check, probe=check, layout=TOML_TARGET)
