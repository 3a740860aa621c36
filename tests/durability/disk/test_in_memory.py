"""A disk that fails in memory shows what a program makes up for later, or does on a full disk."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from durability.disk.in_memory import failures_in_memory
from durability.disk.outcome import Outcome
from durability.disk.scope import DiskScope
from durability.targets import catalogue
from durability.targets.contract import Target
from durability.targets.item import say
from durability.trace.failure import Failure
from raft.errors import DiskError
from raft.filesystem import Filesystem

ITEMS = ("one", "two", "three")


def show(filesystem: Filesystem) -> None:
    """Say what the last checkpoint has, and the log beyond it.

    It is written again before: a sync that has failed is believed.
    """
    found: dict[str, None] = {}
    for name in ("snapshot", "log"):
        if name in filesystem.names():
            file = filesystem.open(name)
            content = file.read(0, file.size())
            file.overwrite(0, content)
            file.sync()
            *whole, _torn = content.decode().split("\n")
            found |= dict.fromkeys(whole)
    filesystem.sync()
    say(*(f"item {item}" for item in found))


def add(filesystem: Filesystem, name: str, content: str) -> None:
    file = filesystem.create(name)
    file.append(content.encode())
    file.sync()
    filesystem.sync()


def write(filesystem: Filesystem, *errors: type[DiskError]) -> None:
    """Acknowledge each item when it is in the log, but for `errors`; then make a checkpoint."""
    done: list[str] = []
    for item in ITEMS:
        say(f"item {item}")
        with suppress(*errors):
            add(filesystem, "log", f"{item}\n")
        say(f"ack {item}")
        done.append(f"{item}\n")
        add(filesystem, "temporary", "".join(done))
        filesystem.rename("temporary", "snapshot")
        filesystem.unlink("log")
        filesystem.sync()


def ignore_errors(filesystem: Filesystem) -> None:
    write(filesystem, DiskError)


def if_full(do: Callable[[Filesystem], None]) -> Callable[[Filesystem], None]:
    """Return a recovery that does otherwise while there is no room."""

    def recover(filesystem: Filesystem) -> None:
        try:
            filesystem.create("probe")
            filesystem.unlink("probe")
        except DiskError:
            do(filesystem)
        else:
            show(filesystem)

    return recover


def remove_all_and_refuse(filesystem: Filesystem) -> None:
    for name in filesystem.names():
        filesystem.unlink(name)
    raise DiskError("no room")


def show_nothing(filesystem: Filesystem) -> None:
    del filesystem


def refuse(filesystem: Filesystem) -> None:
    del filesystem
    raise DiskError("no room")


def store(work: Callable[[Filesystem], None], recover: Callable[[Filesystem], None]) -> Target:
    return replace(
        catalogue.find("reference"), data="opaque", work_in_memory=work, recover_in_memory=recover
    )


def met(target: Target, *failures: Failure) -> dict[str, Outcome]:
    return failures_in_memory(target, failures, DiskScope(faults=failures))


@pytest.mark.parametrize("recover", [show, if_full(show), if_full(refuse)])
def test_a_good_store_holds(recover: Callable[[Filesystem], None]) -> None:
    outcomes = met(store(write, recover), "disk-full", "sync-eio-kept")
    assert all(outcome.fired > 3 for outcome in outcomes.values())
    assert [outcome.found for outcome in outcomes.values()] == [{}, {}]


def test_an_error_that_a_checkpoint_makes_up_for_shows_before_it() -> None:
    outcomes = met(store(ignore_errors, show), "sync-eio-kept", "sync-eio-reverted")
    assert all(set(outcome.found) == {"lost"} for outcome in outcomes.values())


@pytest.mark.parametrize("do", [remove_all_and_refuse, show_nothing])
def test_what_a_restart_makes_of_a_full_disk_is_judged(do: Callable[[Filesystem], None]) -> None:
    outcome = met(store(write, if_full(do)), "disk-full")["disk-full"]
    assert set(outcome.found) == {"lost"}
    assert outcome.violations
