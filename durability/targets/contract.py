"""What a target is: how to start it, how to recover it, and how to read what it says.

A target speaks in lines on its standard output, whether it is a foreign program or a function of
ours in a forked child; for a server, its client speaks. They are announcements ('this item is about
to be written'), acknowledgements ('this item is durable from here on') and, after a crash, the
items that recovery found.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from raft.filesystem import Filesystem

Tear = Literal["byte", "page", "none"]
"""Where a kill may cut a write: at any byte, at a multiple of 4096 in the file, between calls."""

Order = Literal["exact", "set"]
"""Recovered items are a prefix of the announced ones, or a set of them in any order."""


@dataclass(frozen=True)
class Command:
    """A program to execute: its path and arguments, its whole environment, where it starts.

    `argv[0]` is an absolute path.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str


@dataclass(frozen=True)
class Call:
    """A function to call in a child forked from this warmed process; descriptor 1 is its stdout."""

    function: Callable[[], object]


Program = Command | Call

Ready = re.Pattern[str] | int
"""A server is ready once a line of its stdout matches, or once it listens on this TCP port."""


@dataclass(frozen=True)
class Service:
    """A server, and the client that drives it and speaks for it.

    The client begins once the server is `ready`; None: at once. What was asked for ends with the
    client: a server goes on for ever.
    """

    server: Program
    client: Program
    ready: Ready | None = None


Launch = Program | Service


@dataclass(frozen=True)
class Speech:
    """How to read a target's lines; each pattern is searched in a line and has a group `id`.

    `announced` is None where the target does not announce: invented items are then not judged.
    `recovered` is None where recovery shows no items: the target's audit, which then is what
    recovers, judges what was acknowledged.
    """

    acknowledged: re.Pattern[str]
    announced: re.Pattern[str] | None
    recovered: re.Pattern[str] | None


def lines_of(data: bytes) -> list[str]:
    """Return the whole lines of what a target printed: those that a newline ends.

    One carriage return before it belongs to the end of the line. Bytes that are not UTF-8 are
    escaped with a backslash.
    """
    whole = data.decode("utf-8", "backslashreplace").split("\n")[:-1]
    return [line.removesuffix("\r") for line in whole]


def item_in(line: str, pattern: re.Pattern[str] | None) -> str | None:
    """Return the item that a line speaks of by one of the patterns; None where it does not."""
    found = None if pattern is None else pattern.search(line)
    return None if found is None else found["id"]


@dataclass(frozen=True)
class Target:
    """One thing to test.

    `workload(directory)` and `recovery(directory)` say how to start the target on a data directory
    that exists. `version` is that of what is tested, where it has one of its own. `stream_bytes` is
    how far the write stream of an endless workload is explored; None: as far as a run gets by
    itself. `setup(directory)` prepares a fresh directory before anything is traced; None where
    there is nothing to prepare. `data` says whether the auditor knows the directory's format.
    `volatile` are patterns, as of `fnmatch`, of paths below the directory: files that recovery does
    not trust, so that changes of them which cannot be traced, and what they hold in the end, do not
    count. `audit(directory, acknowledged)`, if given, raises to report a violation of its own.
    `recovers_by_call` promises that `recovery` is a `Call` for every directory, so that many may
    share a process. `recover_in_memory(filesystem)`, if given, is what `recovery` calls, on a
    directory that is not on any disk; `work_in_memory(filesystem)` is a workload there that ends.
    """

    name: str
    workload: Callable[[str], Launch]
    recovery: Callable[[str], Launch]
    speech: Speech
    order: Order = "exact"
    version: str = ""
    tear: Tear = "page"
    recovery_timeout_s: float = 10.0
    stream_bytes: int | None = None
    data: Literal["opaque", "raft"] = "opaque"
    setup: Callable[[str], Launch | None] = field(default=lambda _directory: None)
    volatile: tuple[str, ...] = ()
    audit: Callable[[str, list[str]], None] | None = None
    recovers_by_call: bool = False
    recover_in_memory: Callable[[Filesystem], None] | None = None
    work_in_memory: Callable[[Filesystem], None] | None = None
