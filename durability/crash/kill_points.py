"""Where to kill: positions drawn from the write stream of one measured run.

Three draws in four fall on a byte, uniformly over the stream. The fourth falls between two calls:
there names and sizes change without a byte being written, and a uniform byte hardly ever hits it.
"""

import random
from dataclasses import dataclass
from typing import Final

from durability.targets.contract import Tear
from durability.trace.kill_order import KillOrder
from durability.trace.trace import Trace

_BETWEEN_CALLS_SHARE: Final = 0.25


@dataclass(frozen=True)
class WriteStream:
    """The extent of a run's write stream: its bytes, and each change of names as a position."""

    length: int
    between: tuple[tuple[int, int], ...]

    def __bool__(self) -> bool:
        """Whether there is a position to kill at."""
        return bool(self.length or self.between)

    @classmethod
    def of(cls, trace: Trace) -> "WriteStream":
        """Measure a trace."""
        return cls(trace.stream_bytes(), tuple(trace.positions_between_writes()))

    def draw(
        self, tear: Tear, seed: int, number: int, attempt: int = 0, label: str = ""
    ) -> KillOrder:
        """Draw one position; the same arguments always give the same one.

        Numbers, attempts and labels are independent of each other, so that kills may run in any
        order.
        """
        chance = random.Random(f"{seed}/{number}/{attempt}{label}")
        if self.between and (not self.length or chance.random() < _BETWEEN_CALLS_SHARE):
            return KillOrder(*chance.choice(self.between), tear)
        return KillOrder(chance.randint(1, self.length), 0, tear)
