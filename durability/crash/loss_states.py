"""The states that a power cut may leave of one run, chosen and numbered.

A state is a moment of the run and the set of operations that are on disk although nothing had made
them durable. Both are numbers: they can be handed to another process, which walks the run again.
"""

import random
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from durability.crash.models import Model
from durability.crash.moment import Moment
from durability.crash.plan import Plan
from durability.trace.trace import Trace

_DRAWN_TOGETHER: Final = 20
"""How often sets of a moment are drawn at a time; where none is new, it has no more."""

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
        self,
        model: Model,
        trace: Trace,
        *,
        seed: int,
        limit: int | None,
        exhaustive: bool = False,
        since: int = 0,
    ) -> None:
        self._plan = Plan(model, trace, since)
        self._chance = random.Random(f"{seed}/{model.name}")
        self._limit = limit
        self._exhaustive = exhaustive
        self._seen: set[tuple[int, bytes]] = set()
        self._spent: set[int] = set()

    @property
    def drawn(self) -> int:
        """How many states were yielded."""
        return len(self._seen)

    @property
    def digests(self) -> set[bytes]:
        """The digests of their contents."""
        return {digest for _, digest in self._seen}

    @property
    def distinct(self) -> int:
        """How many contents they have."""
        return len(self.digests)

    def __iter__(self) -> Iterator[Draw]:
        if self._exhaustive:
            yield from self._pass(Moment.legal)
            return
        stride = self._stride()
        yield from self._pass(Moment.forgotten, lambda number: number % stride == 0)
        yield from self._pass(Moment.single)
        self._spent.clear()  # of few sets none was new, but of the many others some may be
        while self._limit is not None and self.drawn < self._limit:
            before = self.drawn
            yield from self._pass(self._several, lambda number: number not in self._spent)
            if self.drawn == before:
                return

    def _stride(self) -> int:
        """Return which moments to look at first, so that a low limit reaches the end of the run."""
        if self._limit is None:
            return 1
        moments = sum(1 for _ in self._plan.moments())
        return max(1, moments * _FORGOTTEN // self._limit)

    def _several(self, moment: Moment) -> Iterator[int]:
        for _ in range(_DRAWN_TOGETHER):
            yield from moment.drawn(self._chance)

    def _pass(
        self,
        sets: Callable[[Moment], Iterator[int]],
        wanted: Callable[[int], bool] = lambda _: True,
    ) -> Iterator[Draw]:
        """Yield what is new among these sets of the moments wanted; note where nothing is."""
        for number, moment in enumerate(self._plan.moments()):
            if not wanted(number):
                continue
            before = self.drawn
            for kept in sets(moment):
                if self._limit is not None and self.drawn >= self._limit:
                    return
                state = moment.acknowledged_bytes, moment.digest(kept)
                if state not in self._seen:
                    self._seen.add(state)
                    yield Draw(number, kept)
            if self.drawn == before:
                self._spent.add(number)
            else:
                self._spent.discard(number)


class LossWalk:
    """The moments of a plan by number; best asked for in ascending order."""

    def __init__(self, model: Model, trace: Trace, since: int = 0) -> None:
        self._plan = Plan(model, trace, since)
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
