"""Invents items: a record has a length but no checksum, and a torn one is taken as it is.

Records are 64 bytes, so none straddles a page: only a tear at an arbitrary byte shows it.
"""

import os
import struct
from collections.abc import Iterator

from control import main, say
from good_append import open_log

LENGTH = struct.Struct("<I")


def write(directory: str, items: Iterator[str]) -> None:
    log = open_log(directory)
    for text in items:
        say(f"item {text}")
        os.write(log, LENGTH.pack(len(text)) + text.encode())
        os.fsync(log)
        say(f"ack {text}")


def recover(directory: str) -> list[str]:
    log = open_log(directory)
    data = os.read(log, os.fstat(log).st_size)
    os.close(log)
    found = []
    while len(data) >= LENGTH.size:
        end = LENGTH.size + LENGTH.unpack_from(data)[0]
        found.append(data[LENGTH.size : end].decode())
        data = data[end:]
    return found


main(write, recover)
