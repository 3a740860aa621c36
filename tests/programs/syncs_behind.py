"""Loses items: a thread syncs, and nothing waits for it before it acknowledges."""

import os
import threading
from collections.abc import Iterator

from careful_log import record, recover, write_all
from control import main, say
from good_append import open_log


def write(directory: str, items: Iterator[str]) -> None:
    log = open_log(directory)
    for text in items:
        say(f"item {text}")
        write_all(log, record(text))
        threading.Thread(target=os.fsync, args=[log], daemon=True).start()
        say(f"ack {text}")


main(write, recover)
