"""The states that a power cut may leave of one run, chosen and numbered.

A state is a moment of the run and the set of operations that are on disk although nothing had made
them durable. Both are numbers: they can be handed to another process, which walks the run again.
"""

import random
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, pairwise
from typing import Final, NamedTuple

from durability.crash.models import Model
from durability.crash.moment import Moment
from durability.crash.plan import Plan
from durability.trace.trace import Trace

_FRUITLESS_MAX: Final = 3
"""How many times all moments are drawn for in vain until it is taken that there are no others."""

_ROUNDS: Final = (0, 5, 40, sys.maxsize)
"""The likely sets of all moments are taken in rounds: these first, so that none comes too late."""


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
        moments = sum(1 for _ in self._plan.moments())
        stride = 1 if self._limit is None else max(1, moments * _ROUNDS[1] // max(1, self._limit))
        for first, end in pairwise(_ROUNDS):
            yield from self._pass(partial(_likely, first, end), stride)
            stride = 1
        fruitless = 0
        while self._limit is not None and self.drawn < self._limit and fruitless < _FRUITLESS_MAX:
            before = self.drawn
            yield from self._pass(lambda moment: iter((moment.drawn(self._chance),)))
            fruitless = fruitless + 1 if self.drawn == before else 0

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


def _likely(first: int, end: int, moment: Moment) -> Iterator[int]:
    return islice(moment.likely(), first, end)


class LossWalk:
    """The moments of a plan by number; best asked for in ascending order."""

    def __init__(self, model: Model, trace: Trace) -> None:
        self._plan = Plan(model, trace)
        self._begin()

    def at(self, number: int) -> Moment:
        """Return a moment, to be used until the next is asked for."""
        if number < self._number:
            self._begin()
        while self._number < number:
            self._moment = next(self._moments)
            self._number += 1
        assert self._moment is not None
        return self._moment

    def _begin(self) -> None:
        self._moments = self._plan.moments()
        self._moment: Moment | None = None
        self._number = -1
