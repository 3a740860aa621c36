"""Holds on a disk that fails: writes all or ends, and ends with the first error.

On a damaged disk it refuses: only the end of its log may be less than a record.
"""

import os
import sys
import zlib
from collections.abc import Iterator

from control import main, say
from good_append import HEADER, open_log


def record(text: str) -> bytes:
    body = text.encode()
    return HEADER.pack(len(body), zlib.crc32(body, len(body))) + body


def write_all(log: int, data: bytes) -> None:
    while data:
        data = data[os.write(log, data) :]


def write(directory: str, items: Iterator[str]) -> None:
    log = open_log(directory)
    for text in items:
        say(f"item {text}")
        write_all(log, record(text))
        os.fsync(log)
        say(f"ack {text}")


def recover(directory: str) -> list[str]:
    """Return the records, and cut off the beginning of another."""
    log = open_log(directory)
    data = os.read(log, os.fstat(log).st_size)
    found, end = [], 0
    while len(data) >= end + HEADER.size:
        length, crc = HEADER.unpack_from(data, end)
        body = data[end + HEADER.size : end + HEADER.size + length]
        if not 0 < length < 100 or (len(body) == length and zlib.crc32(body, length) != crc):
            sys.exit(f"the record at {end} is damaged")
        if len(body) < length:
            break
        found.append(body.decode())
        end += HEADER.size + length
    if end < len(data):
        os.ftruncate(log, end)
        os.fsync(log)
    os.close(log)
    return found


if __name__ == "__main__":
    main(write, recover)
