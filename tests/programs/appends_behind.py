"""Loses items: it leaves half a record where a write failed, and appends behind it."""

import os
from collections.abc import Iterator

from careful_log import record, recover, write_all
from control import main, say
from good_append import open_log


def write(directory: str, items: Iterator[str]) -> None:
    log = open_log(directory)
    for text in items:
        say(f"item {text}")
        try:
            write_all(log, record(text))
        except OSError:
            continue  # this item is given up, and says so; the next may fit
        os.fsync(log)
        say(f"ack {text}")


main(write, recover)
