"""Loses what a failed sync was to write: it syncs again, and believes that."""

import os
from collections.abc import Iterator

from careful_log import record, recover, write_all
from control import main, say
from good_append import open_log


def sync(log: int) -> None:
    while True:
        try:
            os.fsync(log)
        except OSError:
            continue
        return


def write(directory: str, items: Iterator[str]) -> None:
    log = open_log(directory)
    for text in items:
        say(f"item {text}")
        write_all(log, record(text))
        sync(log)
        say(f"ack {text}")


main(write, recover)
