"""Loses items: it waits for a sync for half a second, and then acknowledges all the same."""

import os
import threading
from collections.abc import Iterator

from careful_log import record, recover, write_all
from control import main, say
from good_append import open_log

PATIENCE_S = 0.5


def sync(log: int) -> None:
    """Sync, or end the process: an error is not what it ignores."""
    try:
        os.fsync(log)
    except OSError:
        os._exit(1)


def write(directory: str, items: Iterator[str]) -> None:
    log = open_log(directory)
    for text in items:
        say(f"item {text}")
        write_all(log, record(text))
        syncing = threading.Thread(target=sync, args=[log], daemon=True)
        syncing.start()
        syncing.join(PATIENCE_S)
        say(f"ack {text}")


main(write, recover)
