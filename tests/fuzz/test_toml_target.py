"""What is said of descriptions here, and that a loader which does otherwise is noticed."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from durability.targets.contract import Command, Launch, Service, Target
from durability.targets.program import load_program
from fuzz.laws import BrokenLawError
from fuzz.targets import toml_target
from fuzz.targets.toml_target import check

RECOVER = '[recover]\ncommand = ["./store", "{port}"]\nitem = "(?P<id>.)"\n'
SPOKEN = (
    'name = "store"\n[run]\ncommand = ["./store", "{data}"]\nack = "(?P<id>.)"\n'
    'cwd = "{data}"\nenv = {A = "{data}"}\n'
)
PLAIN = f"{SPOKEN}{RECOVER}"
SERVED = (
    'name = "store"\n[run]\ncommand = ["./store", "{port}"]\nready = "on {port}"\n'
    '[client]\ncommand = ["./store", "{port}", "{data}"]\nack = "(?P<id>.)"\n'
    f"{RECOVER}serve = true\n"
)

Change = Callable[[Target], Target]


def launched(change: Callable[[Any], Launch]) -> Change:
    """Change what the workload is launched as."""
    return lambda target: replace(
        target, workload=lambda directory: change(target.workload(directory))
    )


def client_alone(service: Service) -> Command:
    assert isinstance(service.client, Command)
    return service.client


def later(service: Service) -> Service:
    return replace(service, ready=re.compile("on 10000"))


@pytest.mark.parametrize("text", [PLAIN, SERVED, "name = 1", PLAIN.replace("ack", "nack"), ""])
def test_a_description_is_accepted_or_refused_as_it_should(text: str) -> None:
    check(text.encode())


@pytest.mark.parametrize(
    ("text", "change"),
    [
        (PLAIN, lambda target: replace(target, name="other")),
        (PLAIN, lambda target: replace(target, order="set")),
        (PLAIN, lambda target: replace(target, volatile=("*",))),
        (PLAIN, lambda target: replace(target, audit=print)),
        (PLAIN, launched(lambda command: replace(command, argv=command.argv[:1]))),
        (PLAIN, launched(lambda command: replace(command, argv=("store", "{data}")))),
        (PLAIN, launched(lambda command: replace(command, env={"A": "{data}"}))),
        (PLAIN, launched(lambda command: replace(command, cwd="/"))),
        (SERVED, launched(client_alone)),
        (SERVED, launched(later)),
        (SERVED, launched(lambda service: replace(service, ready=None))),
        (SERVED, launched(lambda service: replace(service, client=service.server))),
    ],
)
def test_a_target_that_is_not_what_was_described(
    text: str, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toml_target, "load_program", lambda path: change(load_program(path)))
    with pytest.raises(BrokenLawError):
        check(text.encode())


def test_what_is_not_permitted_and_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toml_target.descriptions, "permitted", lambda *_: None)
    with pytest.raises(BrokenLawError, match="is accepted"):
        check(PLAIN.encode())


def test_what_is_permitted_and_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toml_target.descriptions, "permitted", lambda *_: {})
    with pytest.raises(BrokenLawError, match="is refused"):
        check(b"name = 1")


def test_a_server_and_a_client_with_a_port_each(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = iter((20001, 20002))

    def told_apart(service: Service) -> Service:
        server = service.server
        assert isinstance(server, Command)
        return replace(service, server=replace(server, argv=(server.argv[0], f"{next(ports)}")))

    change = launched(told_apart)
    monkeypatch.setattr(toml_target, "load_program", lambda path: change(load_program(path)))
    with pytest.raises(BrokenLawError, match="several ports"):
        check(SERVED.encode())
