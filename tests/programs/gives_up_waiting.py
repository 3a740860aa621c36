"""Loses items: it waits half a second for a sync, and then acknowledges all the same."""

import os
import threading
from collections.abc import Iterator

from careful_log import record, recover, write_all
from control import main, say
from good_append import open_log

WAIT_S = 0.5


def write(directory: str, items: Iterator[str]) -> None:
    log = open_log(directory)
    for text in items:
        say(f"item {text}")
        write_all(log, record(text))
        sync = threading.Thread(target=os.fsync, args=[log], daemon=True)
        sync.start()
        sync.join(WAIT_S)
        say(f"ack {text}")


main(write, recover)
