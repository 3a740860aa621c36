"""What is said where fewer faults were met than asked for."""

import pytest

from durability.disk.outcome import Outcome


@pytest.mark.parametrize(
    ("fired", "asked", "time_was_up", "said"),
    [
        (5, None, False, ""),
        (6, None, False, ""),  # runs differ, and this one was longer
        (2, None, False, "3 of 5 were not met: runs differ"),
        (2, None, True, "time was up after 2 of 5"),
        (2, 2, True, ""),
        (2, 4, False, "2 of 4 were not met: runs differ"),
        (5, 100, False, ""),
        (4, 100, True, "time was up after 4 of 5"),
    ],
)
def test_what_was_not_met(fired: int, asked: int | None, time_was_up: bool, said: str) -> None:
    outcome = Outcome(fired=fired, possible=5, time_was_up=time_was_up)
    assert outcome.shortfall(asked) == said


def test_how_many_there_are_is_not_known_before_the_end() -> None:
    assert Outcome(fired=3).shortfall(None) == ""
    assert Outcome(fired=3, time_was_up=True).shortfall(None) == "time was up after 3"
