"""Loses records: of a write it does not look how much was taken."""

import os
from collections.abc import Iterator

from careful_log import record, recover
from control import main, say
from good_append import open_log


def write(directory: str, items: Iterator[str]) -> None:
    log = open_log(directory)
    for text in items:
        say(f"item {text}")
        os.write(log, record(text))
        os.fsync(log)
        say(f"ack {text}")


main(write, recover)
