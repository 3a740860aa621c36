"""Breaks `lost`, but only at a second kill: recovery empties the log to write it anew, in place.

Left alone it finishes, and nothing is missing. Killed inside, it has destroyed what it was reading.
"""

import os

import good_append
from control import main
from good_append import append, open_log, write


def recover(directory: str) -> list[str]:
    found = good_append.recover(directory)
    log = open_log(directory)
    os.ftruncate(log, 0)
    for text in found:
        append(log, text)
    os.close(log)
    return found


main(write, recover)
