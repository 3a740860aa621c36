"""A store of one number, which fills a page that is overwritten in place and synced."""

import os
from collections.abc import Callable
from typing import Any

ITEMS = 4
FORMAT = b"%08d"
WORD_BYTES = 8
WORDS = 512


def overwrite(directory: str, ack: Callable[[Any], None]) -> None:
    """Acknowledge what is synced."""
    page = os.open(os.path.join(directory, "page"), os.O_WRONLY | os.O_CREAT)
    for number in range(ITEMS):
        os.pwrite(page, FORMAT % number * WORDS, 0)
        os.fsync(page)
        ack(number)


def recover(directory: str, acked: list[Any]) -> None:
    """Find one number, no older than what was acknowledged."""
    if not acked:
        return
    with open(os.path.join(directory, "page"), "rb") as page:
        words = iter(lambda: page.read(WORD_BYTES), b"")
        found = {int(word) for word in words}
    assert found in ({acked[-1]}, {acked[-1] + 1}), f"{sorted(found)} after {acked[-1]}"
