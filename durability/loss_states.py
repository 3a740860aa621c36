"""The states that a power cut may leave of one run, chosen and numbered.

A state is a moment of the run and the set of operations that are on disk although nothing had made
them durable. Both are numbers: they can be handed to another process, which walks the run again.
"""

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from durability.crash.models import Model
from durability.crash.moment import Moment
from durability.crash.plan import Plan
from durability.trace.trace import Trace

_FRUITLESS_MAX: Final = 3
"""How many times all moments are drawn for in vain until it is taken that there are no others."""

_FORGOTTEN: Final = 6
"""How many sets of a moment are forgotten mostly."""


class Draw(NamedTuple):
    """The `moment`-th moment of a plan, and the mask of what is `kept` of what is pending then."""

    moment: int
    kept: int


class LossStates:
    """States of one trace under one model, each content once for each amount of output.

    Iterating yields them: first those that programs mostly forget, of all of the run, then drawn
    ones, `limit` in all; or every one. `drawn` counts them, `distinct` their contents.
    """

    def __init__(
        self, model: Model, trace: Trace, *, seed: int, limit: int | None, exhaustive: bool = False
    ) -> None:
        self._plan = Plan(model, trace)
        self._chance = random.Random(f"{seed}/{model.name}")
        self._limit = limit
        self._exhaustive = exhaustive
        self._seen: set[tuple[int, bytes]] = set()

    @property
    def drawn(self) -> int:
        """How many states were yielded."""
        return len(self._seen)

    @property
    def distinct(self) -> int:
        """How many contents they have."""
        return len({digest for _, digest in self._seen})

    def __iter__(self) -> Iterator[Draw]:
        if self._exhaustive:
            yield from self._pass(Moment.legal)
            return
        yield from self._pass(Moment.forgotten, self._stride())
        yield from self._pass(Moment.single)
        fruitless = 0
        while self._limit is not None and self.drawn < self._limit and fruitless < _FRUITLESS_MAX:
            before = self.drawn
            yield from self._pass(partial(Moment.drawn, chance=self._chance))
            fruitless = fruitless + 1 if self.drawn == before else 0

    def _stride(self) -> int:
        """Return which moments to look at first, so that a low limit reaches the end of the run."""
        if self._limit is None:
            return 1
        moments = sum(1 for _ in self._plan.moments())
        return max(1, moments * _FORGOTTEN // self._limit)

    def _pass(self, sets: Callable[[Moment], Iterator[int]], stride: int = 1) -> Iterator[Draw]:
        """Yield what is new among these sets of every `stride`-th moment."""
        for number, moment in enumerate(self._plan.moments()):
            if number % stride:
                continue
            for kept in sets(moment):
                if self._limit is not None and self.drawn >= self._limit:
                    return
                state = moment.acknowledged_bytes, moment.digest(kept)
                if state not in self._seen:
                    self._seen.add(state)
                    yield Draw(number, kept)


class LossWalk:
    """The moments of a plan by number; best asked for in ascending order."""

    def __init__(self, model: Model, trace: Trace) -> None:
        self._plan = Plan(model, trace)
        self._moments = enumerate(self._plan.moments())
        self._number, self._moment = next(self._moments)

    def at(self, number: int) -> Moment:
        """Return a moment, to be used until the next is asked for."""
        if number < self._number:
            self._moments = enumerate(self._plan.moments())
            self._number, self._moment = next(self._moments)
        while self._number < number:
            self._number, self._moment = next(self._moments)
        return self._moment
