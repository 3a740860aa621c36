"""Loses items: it takes a full disk for a success."""

import os
from collections.abc import Iterator
from contextlib import suppress

from careful_log import record, recover, write_all
from control import main, say
from good_append import open_log


def write(directory: str, items: Iterator[str]) -> None:
    log = open_log(directory)
    for text in items:
        say(f"item {text}")
        with suppress(OSError):
            write_all(log, record(text))
        os.fsync(log)
        say(f"ack {text}")


main(write, recover)
