"""Breaks `order`: items go to two logs by turns, and recovery reads one log after the other."""

import itertools
import os
from collections.abc import Iterator

import good_append
from control import main, say
from good_append import append, open_log


def shards(directory: str) -> list[str]:
    names = [os.path.join(directory, name) for name in ("even", "odd")]
    for name in names:
        os.makedirs(name, exist_ok=True)
    return names


def write(directory: str, items: Iterator[str]) -> None:
    logs = itertools.cycle([open_log(shard) for shard in shards(directory)])
    for text, log in zip(items, logs, strict=False):
        say(f"item {text}")
        append(log, text)
        say(f"ack {text}")


def recover(directory: str) -> list[str]:
    return [text for shard in shards(directory) for text in good_append.recover(shard)]


main(write, recover)
