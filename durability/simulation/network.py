"""The network between simulated nodes: it delivers, loses, delays, duplicates, reorders, cuts off.

A message's fate is drawn when it is sent, but a partition also catches what is on its way. Two
messages between the same nodes overtake each other whenever their delays say so.
"""

import heapq
import random
from collections.abc import Iterable
from typing import NamedTuple

from durability.simulation.options import Options
from raft.message import Message


class Packet(NamedTuple):
    """A message on its way. `number` is unique, so that packets are ordered without the message."""

    due_tick: int
    number: int
    sender: int
    receiver: int
    message: Message


class Network:
    """Everything that is on its way, and the directed links that are cut."""

    def __init__(self, options: Options, seed: int) -> None:
        self._options = options
        self._random = random.Random(f"network/{seed}")
        self._packets: list[Packet] = []
        self._sent = 0
        self._cut: frozenset[tuple[int, int]] = frozenset()

    @property
    def is_partitioned(self) -> bool:
        """Whether any link is cut."""
        return bool(self._cut)

    def send(self, now_tick: int, sender: int, receiver: int, message: Message) -> None:
        """Take a message in: it will arrive never, once or twice, at a later tick."""
        draw = self._random.random
        copies = 0 if draw() < self._options.drop else 1 + (draw() < self._options.duplicate)
        for _ in range(copies):
            slow = draw() < self._options.slow
            longest = self._options.slow_delay_ticks_max if slow else self._options.delay_ticks_max
            self._sent += 1
            due_tick = now_tick + self._random.randint(1, longest)
            heapq.heappush(self._packets, Packet(due_tick, self._sent, sender, receiver, message))

    def take_due(self, now_tick: int) -> Packet | None:
        """Hand over one packet that arrives by now; None when all have."""
        while self._packets and self._packets[0].due_tick <= now_tick:
            packet = heapq.heappop(self._packets)
            if (packet.sender, packet.receiver) not in self._cut:
                return packet
        return None

    def cut(self, links: Iterable[tuple[int, int]]) -> None:
        """Cut these directed links, (sender, receiver), and no others."""
        self._cut = frozenset(links)

    def heal(self) -> None:
        """Mend every link."""
        self._cut = frozenset()


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
