"""The ledger: what was promised about items against what was recovered."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durability.audit.ledger import Ledger
from durability.targets.contract import Order, Speech

ACK = re.compile(r"^ack (?P<id>.+)$")
ITEM = re.compile(r"^item (?P<id>.+)$")


def ledger(announced: str | None, acknowledged: str) -> Ledger:
    """Each letter is an item; all announcements come first. None: the target announces nothing."""
    heard = Ledger(Speech(ACK, None if announced is None else ITEM, ITEM))
    for item in announced or "":
        heard.hear(f"item {item}\n")
    for item in acknowledged:
        heard.hear(f"ack {item}\n")
    return heard


def kinds(heard: Ledger, recovered: Sequence[str], order: Order = "exact") -> list[str]:
    return [violation.kind for violation in heard.judge(recovered, order)]


@pytest.mark.parametrize(
    ("announced", "acknowledged", "recovered", "expected"),
    [
        # What may be: any prefix of the announced that holds all acknowledged.
        ("abcd", "ab", "ab", []),
        ("abcd", "ab", "abc", []),
        ("abcd", "ab", "abcd", []),
        ("", "", "", []),
        ("abab", "aba", "aba", []),
        # What may not.
        ("abcd", "ab", "a", ["lost"]),
        ("abcd", "ab", "", ["lost"]),
        ("abcd", "abcd", "abd", ["lost"]),
        ("abcd", "abcd", "bcd", ["lost"]),
        ("abcd", "abcd", "d", ["lost"]),
        ("abab", "abab", "bab", ["lost"]),
        ("abab", "abab", "aba", ["lost"]),
        ("ab", "ab", "abx", ["invented"]),
        ("ab", "ab", "xab", ["invented"]),
        ("ab", "ab", "abb", ["duplicated"]),
        ("ab", "ab", "aab", ["duplicated"]),
        ("ab", "ab", "ba", ["order"]),
        ("abc", "ab", "acb", ["order"]),
        ("abc", "a", "ac", ["order"]),
        ("abcd", "acd", "acd", ["order"]),
        # Each kind once, and none for what another kind explains.
        ("abcd", "abcd", "adx", ["lost", "invented"]),
        ("abcd", "abcd", "dca", ["lost", "order"]),
        ("abc", "abc", "xbby", ["lost", "invented", "duplicated"]),
        ("abac", "ab", "bc", ["lost", "order"]),
    ],
)
def test_exact_order(
    announced: str, acknowledged: str, recovered: str, expected: list[str]
) -> None:
    assert kinds(ledger(announced, acknowledged), recovered) == expected


@pytest.mark.parametrize(
    ("acknowledged", "recovered", "expected"),
    [
        ("ab", "ab", []),
        ("ab", "abxyz", []),
        ("", "x", []),
        ("ab", "a", ["lost"]),
        ("abc", "ac", ["lost"]),
        ("ab", "axb", ["order"]),
        ("ab", "ba", ["order"]),
        ("ab", "aab", ["order"]),
    ],
)
def test_exact_order_without_announcements(
    acknowledged: str, recovered: str, expected: list[str]
) -> None:
    heard = ledger(None, acknowledged)
    assert kinds(heard, recovered) == expected
    assert (list(recovered[: len(acknowledged)]) == list(acknowledged)) == (expected == [])
    assert heard.notes == ["invented items not checked"]


@pytest.mark.parametrize(
    ("announced", "acknowledged", "recovered", "expected"),
    [
        ("abc", "ab", "ba", []),
        ("abc", "ab", "cba", []),
        ("abc", "b", "b", []),
        (None, "ab", "bxa", []),
        (None, "aab", "aab", []),
        ("aab", "aab", "ab", []),
        ("aab", "aab", "aba", []),
        ("abc", "ab", "ca", ["lost"]),
        ("abc", "ab", "abx", ["invented"]),
        ("abc", "ab", "abb", ["duplicated"]),
        (None, "ab", "a", ["lost"]),
        (None, "ab", "abxx", ["duplicated"]),
        ("abc", "ab", "xxc", ["lost", "invented"]),
    ],
)
def test_any_order(
    announced: str | None, acknowledged: str, recovered: str, expected: list[str]
) -> None:
    assert kinds(ledger(announced, acknowledged), recovered, "set") == expected


def test_the_lost_items_by_name() -> None:
    heard = ledger("abcdefghij", "abcdefgh")
    assert heard.lost("hb") == ["a", "c", "d", "e", "f", "g"]
    (lost, _) = heard.judge("hb")
    assert lost.message == "6 items (a, c, d, e, f, ...) of 8 acknowledged missing, 2 recovered"
    (lost,) = ledger("ab", "ab").judge("a")
    assert lost.message == "1 item (b) of 2 acknowledged missing, 1 recovered"


def test_the_first_wrong_place_by_number() -> None:
    (violation,) = ledger("abcd", "").judge("acd")
    assert violation.message == "item 2 of those recovered is c, where b comes next"


def test_an_acknowledgement_without_announcement_is_a_fault_and_not_a_violation() -> None:
    heard = ledger("a", "ab")
    (fault,) = heard.faults("ab")
    assert fault.startswith("1 item (b) acknowledged before being announced: ")
    assert heard.notes == ["invented items not checked"]
    assert kinds(heard, "abx") == []
    assert kinds(heard, "a") == ["lost"]


def test_an_acknowledgement_before_its_announcement_is_one_too() -> None:
    heard = ledger("", "")
    heard.hear("ack a\n")
    heard.hear("item a\n")
    assert len(heard.faults("a")) == 1
    assert kinds(heard, "a") == []


def test_an_item_acknowledged_twice_but_announced_once_is_one_too() -> None:
    assert len(ledger("a", "aa").faults("a")) == 1
    assert ledger("aa", "aa").faults("aa") == []


def test_other_lines_say_nothing() -> None:
    heard = ledger("a", "a")
    for line in ("ready\n", "acknowledged b\n", "", "  ack c\n"):
        heard.hear(line)
    assert (heard.announced, heard.acknowledged, heard.faults("a"), heard.notes) == (
        ["a"],
        ["a"],
        [],
        [],
    )


def test_one_line_may_do_both() -> None:
    both = re.compile(r"^put (?P<id>\d+)$")
    heard = Ledger(Speech(both, both, both))
    heard.hear("put 7\n")
    assert (heard.announced, heard.acknowledged, heard.faults("7")) == (["7"], ["7"], [])


def test_an_item_recovered_before_it_is_announced_is_a_fault_of_the_description() -> None:
    speech = ledger("", "").speech
    late = Ledger(speech, later=frozenset("abc"))
    late.hear("item a\n")
    late.hear("ack a\n")
    (fault,) = late.faults("ab")
    assert "had not announced yet" in fault
    assert kinds(late, "ab") == []
    assert kinds(late, "abx") == ["invented"]
    assert late.faults("a") == []


def test_a_program_that_has_said_nothing_yet_cannot_have_invented_anything() -> None:
    silent = ledger("", "")
    assert kinds(silent, "ab") == []
    assert len(silent.faults("ab")) == 1
    assert silent.faults("") == []


ITEMS = st.text(alphabet="abc", max_size=8)


@given(announced=ITEMS, acknowledged_count=st.integers(0, 8), recovered=ITEMS)
def test_held_exactly_when_the_definition_says_so(
    announced: str, acknowledged_count: int, recovered: str
) -> None:
    acknowledged = announced[:acknowledged_count]
    heard = ledger(announced, acknowledged)
    held = announced.startswith(recovered) and len(recovered) >= len(acknowledged)
    assert (kinds(heard, recovered) == [] and heard.faults(recovered) == []) == held
    unannounced = ledger(None, acknowledged)
    assert (kinds(unannounced, recovered) == []) == recovered.startswith(acknowledged)


@given(announced=ITEMS, acknowledged=st.sets(st.sampled_from("abc")), recovered=ITEMS)
def test_a_set_holds_exactly_when_the_definition_says_so(
    announced: str, acknowledged: set[str], recovered: str
) -> None:
    acknowledged &= set(announced)
    heard = ledger(announced, "".join(sorted(acknowledged)))
    held = acknowledged <= set(recovered) and all(
        recovered.count(item) <= announced.count(item) for item in recovered
    )
    assert (kinds(heard, recovered, "set") == [] and heard.faults(recovered) == []) == held
