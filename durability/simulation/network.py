"""The network between simulated nodes: it delivers, loses, delays, duplicates, reorders, cuts off.

A message's fate is drawn when it is sent, but a partition also catches what is on its way. Two
messages between the same nodes overtake each other whenever their delays say so. What the messages
are is of no interest here: they are known by their ways.
"""

import heapq
import random
from collections.abc import Iterable
from typing import NamedTuple

from durability.simulation.options import Options

Way = tuple[int, int, int]
"""A message's name: sender, receiver, and which message it was between the two, from 0."""


class Arrival(NamedTuple):
    """A message that will arrive. `number` is unique: it makes the order that of sending."""

    due_tick: int
    number: int
    way: Way
    again: bool


class Network:
    """When each message arrives, and the directed links that are cut."""

    def __init__(self, options: Options, seed: int) -> None:
        self._options = options
        self._random = random.Random(f"network/{seed}")
        self._arrivals: list[Arrival] = []
        self._admitted = 0
        self._cut: frozenset[tuple[int, int]] = frozenset()
        self._is_calm = False

    def admit(self, now_tick: int, way: Way) -> bool:
        """Take a message in that was just sent; False if it will never arrive."""
        if self._is_calm:
            self._arrive(now_tick + 1, way, again=False)
            return True
        draw = self._random.random
        if draw() < self._options.drop:
            return False
        last = self._draw_due_tick(now_tick)
        if draw() < self._options.duplicate:
            first, last = sorted((last, self._draw_due_tick(now_tick)))
            self._arrive(first, way, again=True)
        self._arrive(last, way, again=False)
        return True

    def take_due(self, now_tick: int) -> Arrival | None:
        """Hand over one message that arrives by now, at a cut link too; None when all have."""
        if self._arrivals and self._arrivals[0].due_tick <= now_tick:
            return heapq.heappop(self._arrivals)
        return None

    def is_cut(self, way: Way) -> bool:
        """Say whether a message on this way is lost now."""
        return way[:2] in self._cut

    def cut(self, links: Iterable[tuple[int, int]]) -> None:
        """Cut these directed links, (sender, receiver), and no others."""
        self._cut = frozenset(links)

    def calm(self) -> None:
        """Mend every link, and be an ideal network from now on."""
        self._cut = frozenset()
        self._is_calm = True

    def _draw_due_tick(self, now_tick: int) -> int:
        slow = self._random.random() < self._options.slow
        longest = self._options.slow_delay_ticks_max if slow else self._options.delay_ticks_max
        return now_tick + self._random.randint(1, longest)

    def _arrive(self, due_tick: int, way: Way, *, again: bool) -> None:
        self._admitted += 1
        heapq.heappush(self._arrivals, Arrival(due_tick, self._admitted, way, again))


def halves(minority: Iterable[int], nodes: Iterable[int]) -> set[tuple[int, int]]:
    """Separate some nodes from all others, both ways."""
    minority = set(minority)
    others = set(nodes) - minority
    return {link for a in minority for b in others for link in ((a, b), (b, a))}


def one_way(mute: int, nodes: Iterable[int]) -> set[tuple[int, int]]:
    """Let a node hear everyone and reach nobody."""
    return {(mute, other) for other in nodes if other != mute}


def bridge(middle: int, nodes: Iterable[int]) -> set[tuple[int, int]]:
    """Split the nodes into two sides that only one node in the middle can reach, both ways."""
    others = sorted(set(nodes) - {middle})
    return halves(others[: len(others) // 2], others)
