"""Invariant tested: exactly the descriptions that docs/targets.md permits are accepted.

An input is a TOML file, in a directory with a program `store` and a module `checks` that has a
function `judge`. Any other is refused with an error that names the file. Of an accepted one the
target has the values that are written there, and each command can be made for a data directory,
with its placeholders filled in, and one port for a server and its client.
"""

import os
import re
import tempfile
from collections.abc import Mapping
from typing import Any, Final

from durability.errors import TargetError
from durability.targets.contract import Command, Service, Target
from durability.targets.program import load_program
from fuzz.laws import BrokenLawError
from fuzz.layout import Layout
from fuzz.specification import descriptions
from fuzz.target import Target as FuzzTarget

# A text: one line is as good as another.
TOML_TARGET: Final = Layout(())

_HOME: Final = tempfile.TemporaryDirectory(prefix="raft-fuzz-")
_PATH: Final = os.path.join(_HOME.name, "target.toml")
_DATA: Final = os.path.join(_HOME.name, "data")
_PLACEHOLDER: Final = re.compile(r"(\{data\}|\{port\})")
# What stands in the place of a placeholder. All ports that are drawn have five digits: where two
# follow each other they can be told apart.
_AS_TEXT: Final = {"{data}": re.escape(_DATA), "{port}": r"(\d{5})"}
_IN_PATTERNS: Final = {
    "{data}": re.escape(f"(?:{re.escape(_DATA)})"),
    "{port}": r"\(\?:(\d{5})\)",
}


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
    permitted = descriptions.permitted(data, _HOME.name, {"checks:judge"})
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
        _check_values(target, permitted)
        _check_launches(target, permitted)


def _check_values(target: Target, table: Mapping[str, Any]) -> None:
    recover, speaker = table["recover"], table.get("client", table["run"])
    speech = target.speech
    said = (
        target.name,
        target.order,
        target.recovery_timeout_s,
        target.volatile,
        target.audit is not None,
        speech.acknowledged.pattern,
        speech.announced and speech.announced.pattern,
        speech.recovered and speech.recovered.pattern,
    )
    written = (
        table["name"],
        recover.get("order", "exact"),
        recover.get("timeout_s", 10.0),
        tuple(table.get("trace", {}).get("volatile", [])),
        "audit" in table,
        speaker["ack"],
        speaker.get("item"),
        recover["item"],
    )
    if said != written:
        raise BrokenLawError(f"{target} is not what {table} says")


def _check_launches(target: Target, table: Mapping[str, Any]) -> None:
    """Make each command, and compare it with the one that the description asks for."""
    run, client, recover = table["run"], table.get("client"), table["recover"]
    ready = run.get("ready")
    if client is None:
        _check_command(target.workload(_DATA), run)
    else:
        _check_service(target.workload(_DATA), run, client, ready)
    if recover.get("serve", False):
        _check_service(target.recovery(_DATA), run, recover, ready)
    else:
        _check_command(target.recovery(_DATA), recover)
    if "setup" in table:
        _check_command(target.setup(_DATA), table["setup"])


def _check_service(
    launch: object, server: Mapping[str, Any], client: Mapping[str, Any], ready: int | str | None
) -> None:
    if not isinstance(launch, Service):
        raise BrokenLawError(f"{launch} starts no server")
    ports = _check_command(launch.server, server) | _check_command(launch.client, client)
    if ready == "{port}":
        ports.add(str(launch.ready))
    elif isinstance(launch.ready, re.Pattern):
        ports |= _ports(str(ready), launch.ready.pattern, _IN_PATTERNS)
    elif launch.ready != ready:
        raise BrokenLawError(f"{launch} does not wait until {ready}")
    if len(ports) > 1:
        raise BrokenLawError(f"{launch} has several ports: {ports}")


def _check_command(launch: object, section: Mapping[str, Any]) -> set[str]:
    """Compare a command with what a section asks for; return the ports that are in it."""
    arguments, env, cwd = section["command"][1:], section.get("env", {}), section.get("cwd", ".")
    if not isinstance(launch, Command) or len(launch.argv) != 1 + len(arguments):
        raise BrokenLawError(f"{section} is launched as {launch}")
    if not cwd.startswith(("/", "{data}")):
        cwd = os.path.join(_HOME.name, cwd)
    written = (*arguments, *env.values(), cwd)
    given = (*launch.argv[1:], *(launch.env[name] for name in env), launch.cwd)
    return {port for pair in zip(written, given, strict=True) for port in _ports(*pair, _AS_TEXT)}


def _ports(text: str, given: str, values: Mapping[str, str]) -> set[str]:
    """Check that `given` is `text`, filled in with `values`; return the ports in it."""
    wanted = "".join(values.get(part, re.escape(part)) for part in _PLACEHOLDER.split(text))
    found = re.fullmatch(wanted, given)
    if found is None:
        raise BrokenLawError(f"{text!r} has become {given!r}")
    return set(found.groups())


TARGET: Final = FuzzTarget(check=check, probe=check, layout=TOML_TARGET)
