"""Loses what a failed sync was to write: it acknowledges all the same."""

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
        write_all(log, record(text))
        with suppress(OSError):
            os.fsync(log)
        say(f"ack {text}")


main(write, recover)
