"""Breaks `lost`: it acknowledges an item, and only then writes it."""

from collections.abc import Iterator

from control import main, say
from good_append import append, open_log, recover


def write(directory: str, items: Iterator[str]) -> None:
    log = open_log(directory)
    for text in items:
        say(f"item {text}")
        say(f"ack {text}")
        append(log, text)


main(write, recover)
