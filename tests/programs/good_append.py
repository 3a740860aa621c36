"""Holds: a log of records with length and CRC, synced before each acknowledgement."""

import os
import struct
import zlib
from collections.abc import Iterator

from control import main, say

HEADER = struct.Struct("<II")  # the text's length in bytes and its CRC-32


def open_log(directory: str) -> int:
    log = os.open(os.path.join(directory, "log"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    sync_directory(directory)
    return log


def sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def encoded(text: str) -> bytes:
    body = text.encode()
    return HEADER.pack(len(body), zlib.crc32(body)) + body


def append(log: int, text: str) -> None:
    os.write(log, encoded(text))
    os.fsync(log)


def write(directory: str, items: Iterator[str]) -> None:
    log = open_log(directory)
    for text in items:
        say(f"item {text}")
        append(log, text)
        say(f"ack {text}")


def recover(directory: str) -> list[str]:
    """Return the whole records, which nobody may have synced: a kill leaves what was written."""
    found = recover_without_sync(directory)
    log = open_log(directory)
    os.fsync(log)
    os.close(log)
    return found


def recover_without_sync(directory: str) -> list[str]:
    """Return the whole records, and cut off what a crash left of another."""
    log = open_log(directory)
    data = os.read(log, os.fstat(log).st_size)
    found, end = [], 0
    while len(data) >= end + HEADER.size:
        length, crc = HEADER.unpack_from(data, end)
        body = data[end + HEADER.size : end + HEADER.size + length]
        if len(body) < length or zlib.crc32(body) != crc:
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
