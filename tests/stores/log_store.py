"""Stores of lines that are two Python functions each, right and wrong in known ways."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

ITEMS = 6


def _opened(directory: str, name: str = "log") -> int:
    return os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def good(directory: str, ack: Callable[[Any], None]) -> None:
    """Acknowledge what is synced."""
    log = _opened(directory)
    for number in range(ITEMS):
        os.write(log, b"%d\n" % number)
        os.fsync(log)
        ack(number)


def early(directory: str, ack: Callable[[Any], None]) -> None:
    """Acknowledge before writing."""
    log = _opened(directory)
    for number in range(ITEMS):
        ack(number)
        os.write(log, b"%d\n" % number)
        os.fsync(log)


def unsynced(directory: str, ack: Callable[[Any], None]) -> None:
    """Acknowledge what only a kill spares."""
    log = _opened(directory)
    for number in range(ITEMS):
        os.write(log, b"%d\n" % number)
        ack(number)


def unsynced_names(directory: str, ack: Callable[[Any], None]) -> None:
    """Sync each file, but not its name."""
    for number in range(ITEMS):
        file = _opened(directory, f"log{number}")
        os.write(file, b"%d\n" % number)
        os.fsync(file)
        ack(number)


def silent(directory: str, ack: Callable[[Any], None]) -> None:
    """Promise nothing."""
    del ack
    os.write(_opened(directory), b"0\n")


def failing(directory: str, ack: Callable[[Any], None]) -> None:
    """Fail by itself."""
    good(directory, ack)
    raise ValueError("no such item")


def recover(directory: str, acked: list[Any]) -> None:
    """Find what was acknowledged first; what was not may be garbage."""
    found = []
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), "rb") as log:
            found += [int(line) for line in log.read().split(b"\n")[:-1] if line.isdigit()]
    assert found[: len(acked)] == acked, f"{found} of {acked}"


def rewrite(directory: str, acked: list[Any]) -> None:
    """Recover, and write what was found in its place, where a second crash may lose it."""
    recover(directory, acked)
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        with open(path, "rb") as log:
            found = log.read()
        with open(path, "wb") as log:
            log.write(found)


def hang(directory: str, acked: list[Any]) -> None:
    """Wait for ever where there is something."""
    del directory
    if acked:
        signal.pause()


def leave(directory: str, acked: list[Any]) -> None:
    """End the process where there is something."""
    del directory
    if acked:
        sys.exit(0)


def die(directory: str, acked: list[Any]) -> None:
    """Die of a signal where there is something."""
    del directory
    if acked:
        os.kill(os.getpid(), signal.SIGUSR1)  # pytest prints all stacks for SIGABRT


def consume(directory: str, acked: list[Any]) -> None:
    """Recover, and remove what was recovered: nothing may be shown the remains."""
    recover(directory, acked)
    for name in os.listdir(directory):
        os.unlink(os.path.join(directory, name))
