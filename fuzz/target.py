"""What is needed to fuzz one thing: its laws, and the shape of its inputs."""

from collections.abc import Callable
from dataclasses import dataclass

from fuzz.layout import Layout

Check = Callable[[bytes], None]
"""Raises whatever shows that the input breaks a law."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One target.

    `check` holds an input against every law, `probe` against those that a fuzzing run can afford on
    each input; whatever `probe` finds, `check` finds. `layout` is what the structure-aware mutator
    knows of an input. `places` are functions that do nothing, which `probe` calls to say that the
    input has led somewhere: a run counts them as it does the branches of the code under test.
    """

    check: Check
    probe: Check
    layout: Layout
    places: tuple[Callable[[], None], ...] = ()
