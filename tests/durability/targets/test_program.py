import json
import os
import re
import socket
import sys
from pathlib import Path

import pytest

from durability.errors import TargetError
from durability.targets.contract import Command, Service, Target
from durability.targets.program import load_program

GOOD = r"""
name = "store"

[run]
command = ["sh", "-c", "exit 0", "{data}"]
ack = '^ack (?P<id>.+)$'

[recover]
command = ["sh", "-c", "exit 0", "{data}"]
item = '^item (?P<id>.+)$'
"""


@pytest.fixture(autouse=True)
def _path_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])


def write(directory: Path, text: str) -> str:
    path = directory / "store.toml"
    path.write_text(text)
    return str(path)


def changed(before: str, after: str) -> str:
    assert before in GOOD
    return GOOD.replace(before, after, 1)


def command_of(launch: object) -> Command:
    assert isinstance(launch, Command)
    return launch


def test_defaults(tmp_path: Path) -> None:
    target = load_program(write(tmp_path, GOOD))
    assert (target.name, target.order, target.tear, target.data) == (
        "store",
        "exact",
        "page",
        "opaque",
    )
    assert target.recovery_timeout_s == 10.0
    assert target.speech.announced is None
    assert target.audit is None
    assert target.setup("/data") is None
    command = command_of(target.workload("/data"))
    assert command.argv == (shell(), "-c", "exit 0", "/data")
    assert command.env == dict(os.environ)
    assert os.path.samefile(command.cwd, tmp_path)


def shell() -> str:
    path = next(
        f"{folder}/sh"
        for folder in os.environ["PATH"].split(":")
        if os.access(f"{folder}/sh", os.X_OK)
    )
    return os.path.abspath(path)


def test_every_key(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    target = load_program(
        write(
            tmp_path,
            r"""
name = "full"
[setup]
command = ["sh", "-c", "mkdir {data}/sub"]
[run]
command = ["sh", "run"]
ack = '^ack (?P<id>\d+)'
item = '^item (?P<id>\d+)'
env = { MODE = "run" }
cwd = "here"
[recover]
command = ["sh", "recover"]
item = '(?P<id>\d+)'
order = "set"
timeout_s = 3
env = { MODE = "recover" }
cwd = "{data}"
""",
        )
    )
    setup = command_of(target.setup("/data"))
    workload, recovery = command_of(target.workload("/data")), command_of(target.recovery("/data"))
    assert setup.argv[1:] == ("-c", "mkdir /data/sub")
    assert (workload.argv[1:], workload.env["MODE"]) == (("run",), "run")
    assert os.path.samefile(workload.cwd, tmp_path / "here")
    assert (recovery.argv[1:], recovery.env["MODE"], recovery.cwd) == (
        ("recover",),
        "recover",
        "/data",
    )
    assert (target.order, target.recovery_timeout_s) == ("set", 3.0)
    assert target.speech.announced is not None
    assert target.speech.recovered is not None
    patterns = (target.speech.acknowledged, target.speech.announced, target.speech.recovered)
    lines = ("ack 1", "item 2", "3")
    matches = [pattern.search(line) for pattern, line in zip(patterns, lines, strict=True)]
    assert [match and match["id"] for match in matches] == ["1", "2", "3"]


def test_environment_is_that_of_the_launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INHERITED", "{data}")
    text = changed("ack =", 'env = { INHERITED_NOT = "{data}:{data}" }\nack =')
    target = load_program(write(tmp_path, text))
    env = command_of(target.workload("/d")).env
    assert env["INHERITED"] == "{data}"  # not ours to fill in
    assert env["INHERITED_NOT"] == "/d:/d"
    assert "INHERITED_NOT" not in command_of(target.recovery("/d")).env
    assert "INHERITED_NOT" not in os.environ


def test_other_braces_are_left_alone(tmp_path: Path) -> None:
    text = changed('"exit 0"', '"awk {print} ${HOME} {{data}} {Data}"')
    argv = command_of(load_program(write(tmp_path, text)).workload("/d{port}")).argv
    assert argv[2] == "awk {print} ${HOME} {/d{port}} {Data}"


def test_data_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = load_program(write(tmp_path, GOOD))
    monkeypatch.chdir(tmp_path)
    assert command_of(target.workload("crash")).argv[-1] == os.path.join(os.getcwd(), "crash")


def test_port_is_free_and_one_for_each_launch(tmp_path: Path) -> None:
    text = changed('"exit 0"', '"{port} {port}"').replace("ack =", 'env = { P = "{port}" }\nack =')
    command = command_of(load_program(write(tmp_path, text)).workload("/d"))
    first, second = command.argv[2].split()
    assert first == second == command.env["P"]
    with socket.socket() as server:
        server.bind(("127.0.0.1", int(first)))


def test_program_with_a_slash_is_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "my-store"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir("/")
    text = changed('"sh", "-c"', '"./my-store", "-c"')
    argv = command_of(load_program(write(tmp_path, text)).workload("/d")).argv
    assert os.path.isabs(argv[0])
    assert os.path.samefile(argv[0], program)


def test_program_without_a_slash_is_found_on_its_own_path(tmp_path: Path) -> None:
    program = tmp_path / "sh"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = changed("ack =", f'env = {{ PATH = "{tmp_path}" }}\nack =')
    target = load_program(write(tmp_path, text))
    assert command_of(target.workload("/d")).argv[0] == str(program)
    assert command_of(target.recovery("/d")).argv[0] == shell()


COMMAND = 'command = ["sh", "-c", "exit 0", "{data}"]\n'
ACK = "ack = '^ack (?P<id>.+)$'\n"
CLIENT = "[client]\ncommand = ['sh', '{port}', '{data}']\nack = '(?P<id>.)'\n"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('name = "store"', "", "name: missing"),
        ('name = "store"', 'name = ""', "name: expected `str` of length >= 1"),
        ('name = "store"', 'nmae = "store"', "nmae: unknown key; known here: name, run, recover"),
        ("[run]", "[client]\ncommand = ['sh']\n[run]", "client.ack: missing"),
        ("[run]", CLIENT + "[run]", "run.ack: the client speaks, not the server; expected in"),
        (ACK, "item = '(?P<id>.)'\n" + CLIENT, "run.item: the client speaks, not the server"),
        (ACK, CLIENT + "item = 'x'\n", "client.item: expected a group named id"),
        (ACK, CLIENT + "item = ''\n", "client.item: expected a group named id"),
        (ACK, CLIENT + "ready = 1\n", "client.ready: unknown key; known here: command, env, cwd"),
        ("[run]", "[run]\nready = 'up'", "run.ready: nobody waits for it"),
        (ACK, "ready = '('\n" + CLIENT, "run.ready: not a regular expression"),
        (ACK, "ready = '\\{port}'\n" + CLIENT, "run.ready: not a regular expression"),
        (ACK, "ready = 0\n" + CLIENT, "run.ready: expected `int` >= 1 (a regular expression for"),
        (ACK, "ready = true\n" + CLIENT, "run.ready: expected `int | str | null`, got `bool`"),
        ("[recover]", "[recover]\nserve = 1", "recover.serve: expected `bool`, got `int` (true or"),
        ("[run]", "[trace]\nvolatile = 'x'\n[run]", "trace.volatile: expected `array`, got `str`"),
        ("[run]", "[trace]\nvolatile = ['']\n[run]", "trace.volatile[0]: expected `str` of"),
        (
            "[run]",
            "[trace]\nvolatil = []\n[run]",
            "trace.volatil: unknown key; known here: volatile",
        ),
        ("[run]", "setup = ['sh']\n[run]", "setup: expected `object"),
        (COMMAND, "", "run.command: missing"),
        (COMMAND, "command = []\n", "run.command: expected `array` of length >= 1 (a list of"),
        (COMMAND, "command = 'sh'\n", "run.command: expected `array`, got `str` (a list of"),
        (COMMAND, "command = ['sh', 1]\n", "run.command[1]: expected `str`, got `int`"),
        (COMMAND, 'command = ["sh", "\\u0000"]\n', "run.command[1]: expected `str` matching"),
        (COMMAND, "command = ['']\n", "run.command: '' is not an executable file"),
        (COMMAND, "command = ['/nowhere/sh']\n", "run.command: '/nowhere/sh' is not an exec"),
        (COMMAND, "command = ['./store.toml']\n", "run.command: './store.toml' is not an exec"),
        (COMMAND, "command = ['{data}/sh']\n", "run.command: '{data}/sh' is not an executable"),
        (COMMAND, "command = ['/']\n", "run.command: '/' is not an executable file"),
        (ACK, "", "run.ack: missing"),
        (ACK, "ack = '('\n", "run.ack: not a regular expression"),
        (ACK, "ack = 'ack (.+)'\n", "run.ack: expected a group named id"),
        (ACK, "ack = '(?P<id>.){4294967295}'\n", "run.ack: not a regular expression"),
        (ACK, "ack = '(?a)(?u)(?P<id>.)'\n", "run.ack: not a regular expression"),
        (ACK, f"ack = '{'(' * 301}'\n", "run.ack: expected `str` of length <= 300 (a regular"),
        (ACK, f"ack = '{'(' * 300}'\n", "run.ack: not a regular expression"),
        (ACK, ACK + "item = 'x'\n", "run.item: expected a group named id"),
        (ACK, ACK + "item = ''\n", "run.item: expected a group named id"),
        (ACK, ACK + "cwd = 'nowhere'\n", "run.cwd: expected a directory"),
        (ACK, ACK + "cwd = 'store.toml'\n", "run.cwd: expected a directory"),
        (ACK, ACK + "env = { A = 1 }\n", "run.env[...]: expected `str`, got `int` (a table of"),
        (ACK, ACK + "env = { 'A=B' = '' }\n", "run.env: expected"),
        ("[recover]", "[recover]\ntimeout_s = 0", "recover.timeout_s: expected `float` > 0.0"),
        ("[recover]", "[recover]\ntimeout_s = -1", "recover.timeout_s: expected `float` > 0.0"),
        ("[recover]", "[recover]\ntimeout_s = nan", "recover.timeout_s: expected `float` > 0.0"),
        ("[recover]", "[recover]\ntimeout_s = inf", "recover.timeout_s: expected `float` <= 86"),
        ("[recover]", "[recover]\ntimeout_s = '1'", "recover.timeout_s: expected `float`, got"),
        ("[recover]", "[recover]\norder = 'any'", "recover.order: invalid enum value 'any' (\"ex"),
        ("item = '^item (?P<id>.+)$'", "", "recover.item: missing"),
        ("[recover]", "[recover", "not TOML in UTF-8"),
        ("[recover]", "[run]", "not TOML in UTF-8"),
        ("[recover]", "deep = " + "[" * 100_000, "not TOML in UTF-8"),
        ("[run]", "[audit]\npython = 'judge'\n[run]", "audit.python: expected `str` matching"),
        ("[run]", "[audit]\npython = '.a:f'\n[run]", "audit.python: expected `str` matching"),
        ("[run]", "[audit]\npython = 'a.b:f'\n[run]", "audit.python: there is no module"),
    ],
)
def test_mistakes_name_file_key_and_what_is_expected(
    before: str, after: str, said: str, tmp_path: Path
) -> None:
    path = write(tmp_path, changed(before, after))
    with pytest.raises(TargetError, match=f"^{re.escape(f'{path}: {said}')}"):
        load_program(path)


def served(tmp_path: Path, ready: str, recover: str = "") -> Target:
    text = changed(ACK, ready + CLIENT).replace("[recover]", f"[recover]\n{recover}")
    return load_program(write(tmp_path, text.replace('"exit 0"', '"{port} {data}"')))


def test_server_and_client_are_told_the_same(tmp_path: Path) -> None:
    service = served(tmp_path, "ready = '{port}'\n").workload("/d")
    assert isinstance(service, Service)
    server, client = command_of(service.server), command_of(service.client)
    assert server.argv[2] == f"{service.ready} /d"
    assert client.argv[1:] == (str(service.ready), "/d")


@pytest.mark.parametrize(
    ("ready", "means"), [("", None), ("ready = 4222\n", 4222), ("ready = '^up$'\n", "^up$")]
)
def test_ready(ready: str, means: object, tmp_path: Path) -> None:
    service = served(tmp_path, ready).workload("/d")
    assert isinstance(service, Service)
    assert getattr(service.ready, "pattern", service.ready) == means


def test_a_pattern_for_readiness_may_hold_the_port(tmp_path: Path) -> None:
    service = served(tmp_path, "ready = '^on {port}$'\n").workload("/d")
    assert isinstance(service, Service)
    assert isinstance(service.ready, re.Pattern)
    assert service.ready.search(f"on {command_of(service.client).argv[1]}")
    assert not service.ready.search("on {port}")


def test_the_directory_stands_in_a_pattern_for_itself(tmp_path: Path) -> None:
    service = served(tmp_path, "ready = '^{data}? up$'\n").workload("/d.(x")
    assert isinstance(service, Service)
    assert isinstance(service.ready, re.Pattern)
    said = ("/d.(x up", " up", "/d-(x up", "/d.( up")
    assert [line for line in said if service.ready.search(line)] == ["/d.(x up", " up"]


def test_the_client_speaks(tmp_path: Path) -> None:
    speech = served(tmp_path, "").speech
    assert speech.acknowledged.pattern == "(?P<id>.)"
    assert speech.announced is None


def test_recovery_asks_the_server_only_where_it_is_to(tmp_path: Path) -> None:
    assert isinstance(served(tmp_path, "ready = 1\n").recovery("/d"), Command)
    asked = served(tmp_path, "ready = '{port}'\n", "serve = true").recovery("/d")
    assert isinstance(asked, Service)
    assert command_of(asked.server).argv[2] == f"{asked.ready} /d"
    assert command_of(asked.client).argv[2] == "{port} {data}".format(port=asked.ready, data="/d")


def test_a_program_that_speaks_may_be_asked_by_its_recovery(tmp_path: Path) -> None:
    text = GOOD.replace("[run]", "[run]\nready = 'up'").replace(
        "[recover]", "[recover]\nserve = true"
    )
    target = load_program(write(tmp_path, text))
    assert isinstance(target.workload("/d"), Command)
    assert isinstance(target.recovery("/d"), Service)


def test_volatile_files(tmp_path: Path) -> None:
    text = changed("[run]", "[trace]\nvolatile = ['*-shm', 'cache/*']\n[run]")
    assert load_program(write(tmp_path, text)).volatile == ("*-shm", "cache/*")
    assert load_program(write(tmp_path, GOOD)).volatile == ()


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"none\.toml: No such file or directory"):
        load_program(str(tmp_path / "none.toml"))
    with pytest.raises(TargetError, match="Is a directory"):
        load_program(str(tmp_path))
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(TargetError, match=r"latin\.toml: not TOML in UTF-8: .* 0xe9"):
        load_program(str(tmp_path / "latin.toml"))
    with pytest.raises(TargetError, match="null"):
        load_program("a\0.toml")


JUDGED = changed("[run]", "[audit]\npython = 'checks.judge:agree'\n[run]")


def judged(directory: Path, source: str) -> str:
    (directory / "checks").mkdir(parents=True)
    (directory / "checks" / "judge.py").write_text(source)
    return write(directory, JUDGED)


def test_audit_calls_the_function_of_its_own_directory(tmp_path: Path) -> None:
    source = (
        "def agree(directory, acknowledged):\n    raise ValueError({!r}, directory, acknowledged)"
    )
    targets = [
        load_program(judged(tmp_path / name, source.format(name))) for name in ("one", "two")
    ]
    for name, target in zip(("one", "two"), targets, strict=True):
        assert target.audit is not None
        with pytest.raises(ValueError, match=name) as raised:
            target.audit("/d", ["1"])
        assert raised.value.args == (name, "/d", ["1"])


def test_audit_imports_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "store_of_this_test.py").write_text("NAME = 'neighbour'\n")
    source = (
        "import store_of_this_test\ndef agree(*_):\n    raise ValueError(store_of_this_test.NAME)"
    )
    audit = load_program(judged(tmp_path, source)).audit
    assert audit is not None
    with pytest.raises(ValueError, match="neighbour"):
        audit("/d", [])


def test_audit_is_a_module_like_any_other_but_takes_the_place_of_none(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "@dataclass\n"
        "class Agree:\n"  # dataclasses look their module up
        "    directory: str\n"
        "    acknowledged: list[str]\n"
    )
    text = changed("[run]", "[audit]\npython = 'json:Agree'\n[run]")
    assert load_program(write(tmp_path, text)).audit is not None
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "has no function 'agree'"),
        ("agree = 3", "has no function 'agree'"),
        ("raise ValueError('at import')", r"judge\.py: ValueError\('at import'\)"),
        ("def agree(:", "SyntaxError"),
    ],
)
def test_audit_that_cannot_be_used(source: str, said: str, tmp_path: Path) -> None:
    path = judged(tmp_path, source)
    with pytest.raises(TargetError, match=rf"store\.toml: audit\.python: .*{said}"):
        load_program(path)


def test_what_every_module_has_is_no_audit(tmp_path: Path) -> None:
    judged(tmp_path, "")
    path = write(tmp_path, JUDGED.replace("agree", "__class__"))
    with pytest.raises(TargetError, match="has no function '__class__'"):
        load_program(path)
