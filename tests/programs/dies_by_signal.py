"""Breaks `recovery-signalled`: an unfinished last record fails an assertion, as C's assert does."""

import os
import resource

import good_append
from control import ITEM_BYTES, main
from good_append import HEADER, open_log, write


def recover(directory: str) -> list[str]:
    log = open_log(directory)
    if os.fstat(log).st_size % (HEADER.size + ITEM_BYTES):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would only be in the way
        os.abort()
    os.close(log)
    return good_append.recover(directory)


main(write, recover)
