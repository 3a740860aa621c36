"""Breaks `recovery-failed`: an unfinished last record is an error that it does not get over."""

import os
import sys

import good_append
from control import ITEM_BYTES, main
from good_append import HEADER, open_log, write


def recover(directory: str) -> list[str]:
    log = open_log(directory)
    if os.fstat(log).st_size % (HEADER.size + ITEM_BYTES):
        sys.exit("the log ends inside a record")
    os.close(log)
    return good_append.recover(directory)


main(write, recover)
