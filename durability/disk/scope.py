"""How much to do about which faults, and until when."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec


class DiskScope(msgspec.Struct, frozen=True, kw_only=True):
    """`calls` is how many calls, or places, each fault is to meet; None: all there are.

    `at` is the one call, counted from 1, that is to fail. Nothing is begun after `until` (on
    `time.monotonic`).
    """

    faults: tuple[str, ...]
    calls: int | None = None
    at: int | None = None
    jobs: int = 1
    until: float | None = None

    def share(self, number: int, of: int) -> float | None:
        """Return until when the `number`-th of so many faults, from 1, may take."""
        if self.until is None:
            return None
        now = time.monotonic()
        return now + max(0.0, self.until - now) / (of - number + 1)


def likely_first(met: Sequence[tuple[str, bytes]]) -> Iterator[int]:
    """Yield the numbers, from 1, of calls: the first of each kind on each path, then the second."""
    seen: Counter[tuple[str, bytes]] = Counter()
    ranked: list[tuple[int, int]] = []
    for number, call in enumerate(met, start=1):
        ranked.append((seen[call], number))
        seen[call] += 1
    return (number for _, number in sorted(ranked))
