"""Loses a renaming: it acknowledges though the sync of the directory failed."""

import os
from collections.abc import Iterator
from contextlib import suppress

from control import main, say
from good_append import sync_directory
from rename_store import recover


def write(directory: str, items: Iterator[str]) -> None:
    state = recover(directory)
    temporary, place = (os.path.join(directory, name) for name in ("state.tmp", "state"))
    for text in items:
        say(f"item {text}")
        state.append(text)
        with open(temporary, "w") as file:
            file.writelines(f"{kept}\n" for kept in state)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, place)
        with suppress(OSError):
            sync_directory(directory)
        say(f"ack {text}")


main(write, recover)
