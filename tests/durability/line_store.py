"""A store of three lines that is two functions, and where to explore its states."""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from durability.campaign.cycle import Plan
from durability.offline import Scope, explore
from durability.report.result import Result
from durability.targets.contract import Call, Speech, Target
from tests.durability.trace.alone import alone

SPEECH = Speech(
    acknowledged=re.compile(r"^ack (?P<id>.+)$"),
    announced=re.compile(r"^item (?P<id>.+)$"),
    recovered=re.compile(r"^item (?P<id>.+)$"),
)


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def work(directory: str) -> None:
    """Write three lines, and promise each."""
    file = os.open(os.path.join(directory, "log"), os.O_WRONLY | os.O_CREAT)
    for number in range(3):
        say(f"item {number}")
        os.write(file, b"%d\n" % number)
        os.fsync(file)
        say(f"ack {number}")


def lines(directory: str) -> list[str]:
    path = os.path.join(directory, "log")
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return file.read().split("\n")[:-1]


def recover(directory: str) -> None:
    for line in lines(directory):
        print("item", line)  # noqa: T201 - the way that a function under test prints


def store(
    recovery: Callable[[str], None] = recover,
    workload: Callable[[str], None] = work,
    timeout_s: float = 10.0,
) -> Target:
    return Target(
        name="store",
        workload=lambda directory: Call(partial(workload, directory)),
        recovery=lambda directory: Call(partial(recovery, directory)),
        recovers_by_call=True,
        speech=SPEECH,
        tear="byte",
        recovery_timeout_s=timeout_s,
    )


def plan_in(directory: Path, *, name: str = "store") -> Plan:
    return Plan(
        target_name=name,
        seed=1,
        mechanism="seccomp",
        tear="byte",
        directory=str(directory),
        findings=str(directory / "findings"),
        deadline_s=30.0,
    )


def explored(target: Target, directory: Path, checked: int = 0) -> Result:
    scope = Scope(jobs=1, checked=checked)
    return alone(lambda: explore(target, plan_in(directory), scope, lambda _: None))
