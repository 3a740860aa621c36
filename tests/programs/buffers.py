"""Shows nothing: what it prints stays in its buffer until it exits, so a kill takes all of it."""

from collections.abc import Iterator

from control import main
from good_append import append, open_log, recover


def write(directory: str, items: Iterator[str]) -> None:
    log = open_log(directory)
    with open(1, "w", buffering=1 << 20) as stdout:
        for text in items:
            stdout.write(f"item {text}\n")
            append(log, text)
            stdout.write(f"ack {text}\n")


main(write, recover)
