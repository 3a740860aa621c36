import pytest

from durability.disk.scope import likely_first


def test_each_kind_on_each_path_comes_first_by_its_middle_one_then_what_halves_the_rest() -> None:
    write, sync = ("write", b"log"), ("fsync", b"log")
    met = [("open", b"log"), write, sync, write, sync, write, write, ("write", b"other")]
    assert list(likely_first(met)) == [6, 5, 1, 8, 4, 3, 7, 2]


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
def test_each_call_comes_once(count: int) -> None:
    met = [("write", b"%d" % (number % 3)) for number in range(count)]
    assert sorted(likely_first(met)) == list(range(1, count + 1))


def test_few_are_spread_over_a_long_run() -> None:
    few = list(likely_first([("write", b"log")] * 1000))[:7]
    assert sorted(few) == [126, 251, 376, 501, 626, 751, 876]
