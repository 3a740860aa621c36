"""EDN, form by form; what an event is made of stands in test_jepsen."""

import pytest

from durability.history.edn import DEPTH_MAX, Form, Keyword, MalformedError, Other, Reader


def forms(text: str) -> list[Form]:
    return [form for _, form in Reader(text).forms()]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("nil", None),
        ("true", True),
        ("false", False),
        ("17", 17),
        ("-5N", -5),
        ("+0", 0),
        ('"a b"', "a b"),
        (r'"\"\\\n\t\r\b\f"', '"\\\n\t\r\b\f'),
        (r'"\u00e9\ud83d\ude00"', "é😀"),
        (":timed-out", "timed-out"),
        ("[1 (2, 3) []]", (1, (2, 3), ())),
        ('{:a 1, "b" 2, 3 4}', {"a": 1}),
        ("#jepsen.history.Op{:a 1}", {"a": 1}),
        ("#_ 1 #_#_ 2 3 4 ; 5", 4),
        ("[1 #_2]", (1,)),
    ],
)
def test_what_a_history_is_made_of(text: str, form: Form) -> None:
    (found,) = forms(text)
    assert found == form
    assert type(found) is type(form) or isinstance(found, Keyword)


@pytest.mark.parametrize(
    "text",
    [
        *("1.5", "1/2", "007", "0x1f", "12345678901234567890", "symbol", ":", "##NaN"),
        *(r"\c", r"\newline", r"\[", "#{1 2}", "#inst 1", '#"a*"'),
    ],
)
def test_what_it_is_not_made_of_is_read_over(text: str) -> None:
    found, following = forms(f"{text} 1")
    assert isinstance(found, Other)
    assert following == 1


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ('1 "open', 2, "is not closed"),
        ("[1", 0, r"\[ is not closed"),
        ("[1)", 2, r"\) closes nothing"),
        ("1]", 1, r"\] closes nothing"),
        ("{:a}", 0, "a key without a value"),
        ("{:a 1 :a 2}", 0, "has :a twice"),
        ("#_", 0, "nothing follows #_"),
        ("#tag", 0, "nothing follows #tag"),
        (r'"\q"', 0, "q is not known"),
        (r'"\u12"', 0, "u is not known"),
        (r'"\ud83d"', 0, "half a character"),
    ],
)
def test_what_is_no_edn_is_refused_where_it_is_wrong(text: str, position: int, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason) as caught:
        forms(text)
    assert caught.value.position == position


@pytest.mark.parametrize(("before", "behind"), [("[", "]"), ("#tag ", ""), ("#_", " 2")])
def test_forms_are_so_deep_and_no_deeper(before: str, behind: str) -> None:
    deep = before * DEPTH_MAX + "1" + behind * DEPTH_MAX
    forms(deep)
    with pytest.raises(MalformedError, match="deep"):
        forms(before + deep + behind)


def test_lists_around_forms_are_looked_into() -> None:
    text = "[1\n2] 3 ([4])"
    assert list(Reader(text).forms(of_lists=True)) == [(1, 1), (3, 2), (6, 3), (9, (4,))]
    assert forms(text) == [(1, 2), 3, ((4,),)]
    with pytest.raises(MalformedError, match="not closed"):
        list(Reader("[1 2").forms(of_lists=True))
