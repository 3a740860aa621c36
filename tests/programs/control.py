"""The command line of a control program: `PROGRAM run|recover DIRECTORY [--forever]`.

Each program shows one way to keep a promise or to break it, in two functions: `write` makes items
durable one by one, `recover` returns those that are there. A run goes on after what it recovers.
"""

import itertools
import os
import string
import sys
from collections.abc import Callable, Iterator

ITEMS = 200
ITEM_BYTES = 60


def item(number: int) -> str:
    """Return an item's text, all of one length: what a tear leaves of it is no other item."""
    letters = itertools.cycle(string.ascii_lowercase)
    return f"{number:06d}-" + "".join(itertools.islice(letters, ITEM_BYTES - 7))


def say(line: str) -> None:
    """Print a line past every buffer of this process."""
    os.write(1, f"{line}\n".encode())


def main(write: Callable[[str, Iterator[str]], None], recover: Callable[[str], list[str]]) -> None:
    verb, directory, *options = sys.argv[1:]
    assert options in ([], ["--forever"]), options
    found = recover(directory)
    if verb == "recover":
        for text in found:
            say(f"item {text}")
    else:
        rest = itertools.count(len(found)) if options else range(len(found), ITEMS)
        write(directory, map(item, rest))
