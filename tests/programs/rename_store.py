"""Holds: the whole state is written anew, synced, and renamed over the one before."""

import os
from collections.abc import Iterator

from control import main, say
from good_append import sync_directory


def write(directory: str, items: Iterator[str]) -> None:
    state = recover(directory)
    for text in items:
        say(f"item {text}")
        state.append(text)
        replace(directory, "".join(f"{kept}\n" for kept in state))
        say(f"ack {text}")


def replace(directory: str, content: str) -> None:
    temporary = os.path.join(directory, "state.tmp")
    with open(temporary, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, os.path.join(directory, "state"))
    sync_directory(directory)


def recover(directory: str) -> list[str]:
    """Return the state that has its name; one that never got it was never acknowledged."""
    temporary, state = (os.path.join(directory, name) for name in ("state.tmp", "state"))
    if os.path.exists(temporary):
        os.unlink(temporary)
        sync_directory(directory)
    if not os.path.exists(state):
        return []
    with open(state) as file:
        return file.read().splitlines()


if __name__ == "__main__":
    main(write, recover)
