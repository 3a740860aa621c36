"""A program described in TOML, as a target: `docs/targets.md` explains each key."""

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from durability.errors import TargetError
from durability.targets import description
from durability.targets.contract import Command, Launch, Ready, Service, Speech, Target
from durability.targets.port import free_port

_PLACEHOLDER: Final = re.compile(r"\{(data|port)\}")
_PORT: Final = "{port}"


def load_program(path: str) -> Target:
    """Read the description of a program.

    Raises TargetError where the file, one of its keys, or a program it names cannot be used.
    """
    described = description.read(path)
    run, recover, client = described.run, described.recover, described.client
    server = _Executable.of(path, "run", run)
    reader = _Executable.of(path, "recover", recover)
    setup = described.setup and _Executable.of(path, "setup", described.setup)
    driver = client and _Executable.of(path, "client", client)
    if isinstance(run.ready, str) and run.ready != _PORT:
        _compiled(path, "run.ready", _filled_pattern(run.ready, {"data": "/", "port": "1"}))
    return Target(
        name=described.name,
        workload=_asked_by(driver, server, run.ready) if driver else server.launch,
        recovery=_asked_by(reader, server, run.ready) if recover.serve else reader.launch,
        speech=_speech(path, described),
        order=recover.order,
        recovery_timeout_s=recover.timeout_s,
        setup=setup.launch if setup else lambda _: None,
        volatile=tuple(described.trace.volatile),
        audit=_judge(path, described.audit.python) if described.audit else None,
    )


def _speech(path: str, described: description.Description) -> Speech:
    section, speaker = ("client", described.client) if described.client else ("run", described.run)
    item = speaker.item
    return Speech(
        acknowledged=_pattern(path, f"{section}.ack", speaker.ack or ""),
        announced=None if item is None else _pattern(path, f"{section}.item", item),
        recovered=_pattern(path, "recover.item", described.recover.item),
    )


@dataclass(frozen=True)
class _Executable:
    """A command of the description whose program has been found."""

    program: str
    home: str
    process: description.Process

    @classmethod
    def of(cls, path: str, section: str, process: description.Process) -> "_Executable":
        """Find the program. Raises TargetError."""
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
        return cls(program, home, process)

    def texts(self) -> tuple[str, ...]:
        """Return what may hold placeholders."""
        process = self.process
        return (*process.command[1:], *process.env.values(), process.cwd)

    def launch(self, directory: str) -> Command:
        """Return the command for one launch on a data directory."""
        return self.filled(_values(directory, self.texts()))

    def filled(self, values: Mapping[str, str]) -> Command:
        """Return the command with its placeholders filled in."""
        arguments, env = self.process.command[1:], self.process.env
        return Command(
            argv=(self.program, *(_filled(text, values) for text in arguments)),
            env={**os.environ, **{name: _filled(text, values) for name, text in env.items()}},
            cwd=os.path.join(self.home, _filled(self.process.cwd, values)),
        )


def _asked_by(
    client: _Executable, server: _Executable, ready: int | str | None
) -> Callable[[str], Launch]:
    """Return how to start a server and a client; for both the placeholders mean the same."""

    def launch(directory: str) -> Service:
        values = _values(directory, (*server.texts(), *client.texts(), str(ready)))
        return Service(server.filled(values), client.filled(values), _ready(ready, values))

    return launch


def _ready(ready: int | str | None, values: Mapping[str, str]) -> Ready | None:
    if not isinstance(ready, str):
        return ready
    return int(values["port"]) if ready == _PORT else re.compile(_filled_pattern(ready, values))


def _values(directory: str, texts: Iterable[str]) -> dict[str, str]:
    """Return what the placeholders mean for one launch; a port only where one is asked for."""
    values = {"data": os.path.abspath(directory)}
    if any(_PORT in text for text in texts):
        values["port"] = str(free_port())
    return values


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)


def _filled_pattern(text: str, values: Mapping[str, str]) -> str:
    """Fill in a regular expression, each value as a group that matches it and nothing else.

    What it is a part of does not depend on the value then: whether it compiles is known at once.
    """
    return _filled(text, {name: f"(?:{re.escape(value)})" for name, value in values.items()})


def _compiled(path: str, key: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, ValueError, OverflowError) as error:
        # The last two are for flags that exclude each other, and for too many repetitions.
        raise TargetError(f"{path}: {key}: not a regular expression: {error}") from error


def _pattern(path: str, key: str, text: str) -> re.Pattern[str]:
    pattern = _compiled(path, key, text)
    if "id" not in pattern.groupindex:
        raise TargetError(f"{path}: {key}: expected a group named id, as in '^item (?P<id>.+)$'")
    return pattern


def _program(home: str, process: description.Process) -> str | None:
    name = process.command[0]
    if "/" in name:
        return shutil.which(os.path.join(home, name))
    found = shutil.which(name, path=process.env.get("PATH"))
    return found and os.path.abspath(found)


def _judge(path: str, named: str) -> Callable[[str, list[str]], None]:
    name, _, function = named.partition(":")
    module = _imported(path, name)
    # What every module has, its class for example, is no function of this one.
    judge: Any = vars(module).get(function)
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
