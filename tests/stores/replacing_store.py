"""Stores that replace a file by a new one, right and wrong in known ways."""

import os
from collections.abc import Callable
from typing import Any

ITEMS = 4
FORMAT = "%020d\n"


def _replace(directory: str, number: int, *, synced: bool) -> None:
    new = os.path.join(directory, "new")
    with open(new, "w", encoding="ascii") as file:
        file.write(FORMAT % number)
        file.flush()
        if synced:
            os.fsync(file.fileno())
    os.rename(new, os.path.join(directory, "newest"))


def _sync(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def good(directory: str, ack: Callable[[Any], None]) -> None:
    """Sync the content, then the name."""
    for number in range(ITEMS):
        _replace(directory, number, synced=True)
        _sync(directory)
        ack(number)


def unsynced_content(directory: str, ack: Callable[[Any], None]) -> None:
    """Sync the name, under which there may be anything but for the first item."""
    for number in range(ITEMS):
        _replace(directory, number, synced=number == 0)
        _sync(directory)
        ack(number)


def unsynced_name(directory: str, ack: Callable[[Any], None]) -> None:
    """Sync the content, which may never get its name."""
    for number in range(ITEMS):
        _replace(directory, number, synced=True)
        ack(number)


def recover(directory: str, acked: list[Any]) -> None:
    """Find the newest item; where none was acknowledged there may be none."""
    if acked:
        with open(os.path.join(directory, "newest"), "rb") as file:
            found = file.read()
        assert found.endswith(b"\n"), f"there is {found!r}, {acked[-1]} was acknowledged"
        assert int(found) >= acked[-1], f"there is {found!r}, {acked[-1]} was acknowledged"
