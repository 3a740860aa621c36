from durability.disk.outcome import Outcome


def test_runs_that_might_have_gone_on_are_told() -> None:
    outcome = Outcome(fired=3, cut_short=2)
    (note,) = outcome.notes()
    assert note.startswith("2 of 3 runs were ended")
    assert Outcome(fired=3).notes() == []
