"""Telling a fuzzing run where an input has led, beyond which branches it took.

Every protocol action has been seen after a few hundred schedules, and from then on the coverage of
the code says nothing; the states of a cluster go on. An abstract state is given one of so many
places, a function that does nothing, and an engine that counts functions as it does branches keeps
the inputs that get to a new one (the idea is ModelFuzz's, OOPSLA 2025, without its model).
"""

from collections.abc import Callable, Iterable
from types import CodeType, FunctionType

Places = tuple[Callable[[], None], ...]


def make_places(count: int) -> Places:
    """Make places that can be told apart: each is a function with a code object of its own."""
    return tuple(FunctionType(_nothing_here(number), {}) for number in range(count))


def visit(places: Places, states: Iterable[int]) -> None:
    """Call the place of each state, which is a number of any size; two may share one."""
    for state in states:
        places[state % len(places)]()


def _nothing_here(number: int) -> CodeType:
    def nothing() -> None:
        pass

    return nothing.__code__.replace(co_name=f"place_{number}")
