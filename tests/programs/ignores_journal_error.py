"""Breaks two pages that must agree: it overwrites them though its journal's sync has failed."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress

from careful_log import write_all
from control import item, main, say
from good_append import sync_directory

PAGE_BYTES = 4096


def paths(directory: str) -> tuple[str, str]:
    return os.path.join(directory, "pages"), os.path.join(directory, "journal")


def write(directory: str, items: Iterator[str]) -> None:
    count = len(recover(directory))
    pages_path, journal_path = paths(directory)
    pages = os.open(pages_path, os.O_RDWR | os.O_CREAT, 0o644)
    overwrite(pages, count)
    sync_directory(directory)
    for new_count, text in enumerate(items, start=count + 1):
        say(f"item {text}")
        journal = os.open(journal_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        write_all(journal, os.pread(pages, 2 * PAGE_BYTES, 0))
        with suppress(OSError):
            os.fsync(journal)
        os.close(journal)
        sync_directory(directory)
        overwrite(pages, new_count)
        os.unlink(journal_path)
        sync_directory(directory)
        say(f"ack {text}")


def overwrite(pages: int, count: int) -> None:
    """Write the number of items to both pages, in place."""
    os.lseek(pages, 0, os.SEEK_SET)
    for _ in range(2):
        write_all(pages, str(count).encode().ljust(PAGE_BYTES))
    os.fsync(pages)


def recover(directory: str) -> list[str]:
    """Return as many items as both pages say, once the journal has undone half a change."""
    pages_path, journal_path = paths(directory)
    if os.path.exists(journal_path):
        with open(journal_path, "rb") as journal:
            before = journal.read()
        if len(before) == 2 * PAGE_BYTES and before.strip(b"\0"):
            overwrite_with(pages_path, before)
        os.unlink(journal_path)
        sync_directory(directory)
    if not os.path.exists(pages_path) or os.path.getsize(pages_path) < 2 * PAGE_BYTES:
        return []
    with open(pages_path, "rb") as pages:
        first, second = pages.read(PAGE_BYTES), pages.read(PAGE_BYTES)
    if first != second:
        sys.exit("the pages disagree")
    return [item(number) for number in range(int(first))]


def overwrite_with(path: str, content: bytes) -> None:
    pages = os.open(path, os.O_WRONLY)
    write_all(pages, content)
    os.fsync(pages)
    os.close(pages)


main(write, recover)
