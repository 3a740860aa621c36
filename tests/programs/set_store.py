"""Holds, in any order: one file for each item, named by it; it counts once its text is whole."""

import os
from collections.abc import Iterator

from control import main, say
from good_append import sync_directory


def write(directory: str, items: Iterator[str]) -> None:
    for text in items:
        say(f"item {text}")
        file = os.open(os.path.join(directory, text), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(file, f"{text}\n".encode())
        os.fsync(file)
        os.close(file)
        sync_directory(directory)
        say(f"ack {text}")


def recover(directory: str) -> list[str]:
    found = []
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        with open(path) as file:
            whole = file.read() == f"{name}\n"
        if whole:
            found.append(name)
        else:
            os.unlink(path)
    return found


main(write, recover)
