"""Holds: pages of items, overwritten in place, each with a CRC and in two places in turn.

A page that a crash has torn fails its CRC, and the other place has it without its last item.
"""

import itertools
import os
import struct
import zlib
from collections.abc import Callable, Iterator

from control import ITEM_BYTES, main, say
from good_append import sync_directory

PAGE_BYTES = 4096
CRC = struct.Struct("<I")
COUNT = struct.Struct("<I")
ITEMS_MAX = (PAGE_BYTES - CRC.size - COUNT.size) // ITEM_BYTES


def open_pages(directory: str) -> int:
    pages = os.open(os.path.join(directory, "pages"), os.O_RDWR | os.O_CREAT, 0o644)
    sync_directory(directory)
    return pages


def is_whole(page: bytes) -> bool:
    return len(page) == PAGE_BYTES and CRC.pack(zlib.crc32(page[CRC.size :])) == page[: CRC.size]


def write(directory: str, items: Iterator[str]) -> None:
    found = recover(directory)
    pages = open_pages(directory)
    for text in items:
        say(f"item {text}")
        found.append(text)
        write_last_page(pages, found)
        os.fsync(pages)
        say(f"ack {text}")


def write_last_page(pages: int, items: list[str]) -> None:
    number = (len(items) - 1) // ITEMS_MAX
    held = items[number * ITEMS_MAX :]
    body = COUNT.pack(len(held)) + "".join(held).encode()
    body = body.ljust(PAGE_BYTES - CRC.size, b"\0")
    place = 2 * number + len(held) % 2
    os.pwrite(pages, CRC.pack(zlib.crc32(body)) + body, place * PAGE_BYTES)


def recover(directory: str, is_trusted: Callable[[bytes], bool] = is_whole) -> list[str]:
    """Return the items of each page, from that place which has more of them."""
    pages = open_pages(directory)
    os.fsync(pages)  # a kill leaves what nobody has synced
    found: list[str] = []
    for number in itertools.count():
        places = (os.pread(pages, PAGE_BYTES, (2 * number + at) * PAGE_BYTES) for at in range(2))
        held = max((items_in(page) for page in places if is_trusted(page)), key=len, default=[])
        found += held
        if len(held) < ITEMS_MAX:
            break
    os.close(pages)
    return found


def items_in(page: bytes) -> list[str]:
    (count,) = COUNT.unpack_from(page, CRC.size)
    first = CRC.size + COUNT.size
    return [
        page[at : at + ITEM_BYTES].decode()
        for at in range(first, first + count * ITEM_BYTES, ITEM_BYTES)
    ]


if __name__ == "__main__":
    main(write, recover)
