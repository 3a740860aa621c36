"""How much to do about which faults, and until when."""

import shlex
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import msgspec


class DiskScope(msgspec.Struct, frozen=True, kw_only=True):
    """`calls` is how many calls, or places, each fault is to meet; None: all there are.

    `at` is the one call, counted from 1, that is to fail. Nothing is begun after `until` (on
    `time.monotonic`). `stream_bytes` is how far an endless run goes, where that was asked for.
    """

    faults: tuple[str, ...]
    calls: int | None = None
    at: int | None = None
    jobs: int = 1
    until: float | None = None
    stream_bytes: int | None = None

    def share(self, number: int, of: int) -> float | None:
        """Return until when the `number`-th of so many faults, from 1, may take."""
        if self.until is None:
            return None
        now = time.monotonic()
        return now + max(0.0, self.until - now) / (of - number + 1)

    def command(self, target_name: str, fault: str, *options: str) -> str:
        """Return the command line that has a fault met again."""
        length = [] if self.stream_bytes is None else ["--bytes", str(self.stream_bytes)]
        command = ["durability", "disk", target_name, "--fault", fault, *options, *length]
        return shlex.join(command)


def likely_first(met: Sequence[tuple[str, bytes]]) -> Iterator[int]:
    """Yield the numbers, from 1, of calls: few are of every kind on every path, and spread out.

    In the first round that is the middle one of each kind on each path; in the next the middle ones
    of what lies before and behind it, and so on. What comes most often begins: that is the work,
    and not what prepares it.
    """
    alike: defaultdict[tuple[str, bytes], list[int]] = defaultdict(list)
    for number, call in enumerate(met, start=1):
        alike[call].append(number)
    orders = [_halving(numbers) for numbers in sorted(alike.values(), key=len, reverse=True)]
    for rank in zip_longest(*orders):
        yield from (number for number in rank if number is not None)


def _halving(numbers: Sequence[int]) -> Iterator[int]:
    parts = deque([numbers])
    while parts:
        part = parts.popleft()
        middle = len(part) // 2
        yield part[middle]
        parts += [half for half in (part[:middle], part[middle + 1 :]) if half]
