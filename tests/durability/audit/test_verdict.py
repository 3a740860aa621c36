import pytest

from durability.audit.verdict import Verdict, fold


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ([], "held"),
        (["held", "held"], "held"),
        (["held", "inconclusive"], "inconclusive"),
        (["inconclusive", "violation", "held"], "violation"),
    ],
)
def test_the_worst_verdict_is_that_of_the_whole(verdicts: list[Verdict], whole: Verdict) -> None:
    assert fold(verdicts) == whole
    assert fold(reversed(verdicts)) == whole
