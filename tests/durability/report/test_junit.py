from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest

from durability.errors import UsageError
from durability.report.junit import write_junit
from durability.report.result import Result
from tests.durability.report.results import (
    EVERY,
    HOSTILE,
    REPRODUCE,
    UNPRINTABLE,
    held,
    hostile,
    inconclusive,
    known,
    lost,
    untested,
    violated,
)

# What the readers of CI systems agree on, of which we use a part: for each element the attributes
# that it must have, those that it may have, and its children.
SCHEMA: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), set(), {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"skipped", "time"},
        {"properties", "testcase", "system-out"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": ({"name"}, {"classname"}, {"failure", "error", "skipped"}),
    "failure": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}


def require_schema(element: Element) -> None:
    required, optional, children = SCHEMA[element.tag]
    assert required <= set(element.keys()) <= required | optional
    assert len(element) or element.tag != "properties"
    for child in element:
        assert child.tag in children
        require_schema(child)


def parsed(result: Result, tmp_path: Path) -> Element:
    path = tmp_path / "junit.xml"
    write_junit(result, str(path))
    root = fromstring(path.read_bytes())
    require_schema(root)
    return root


def only(tag: str, root: Element) -> Element:
    [element] = root.iter(tag)
    return element


def text(element: Element) -> str:
    assert element.text is not None
    return element.text


def outcomes(root: Element) -> dict[str | None, list[str]]:
    """Return each case's name with the elements that say how it ended; none is a pass."""
    return {case.get("name"): [end.tag for end in case] for case in root.iter("testcase")}


@pytest.mark.parametrize(
    "bad",
    [
        '<testsuites><testcase name="a"/></testsuites>',
        '<testsuite name="a" tests="0"/>',
        '<testsuite name="a" tests="0" failures="0" errors="0"><properties/></testsuite>',
        '<testsuite name="a" tests="0" failures="0" errors="0" colour="red"/>',
    ],
)
def test_the_schema_refuses(bad: str) -> None:
    with pytest.raises(AssertionError):
        require_schema(fromstring(bad))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (held, {"verdict": []}),
        (inconclusive, {"verdict": ["error"]}),
        (untested, {"verdict": ["error"]}),
        (known, {"recovery-failed": ["skipped"], "verdict": []}),
        (
            violated,
            {"lost": ["failure"], "recovery-failed": ["skipped"], "verdict": ["error"]},
        ),
        (lambda: Result("crash", violations=[lost()]), {"lost": ["failure"]}),
    ],
)
def test_each_guarantee_and_the_run_is_a_case(
    result: Callable[[], Result], expected: dict[str, list[str]], tmp_path: Path
) -> None:
    assert outcomes(parsed(result(), tmp_path)) == expected


@pytest.mark.parametrize("result", EVERY)
def test_a_run_is_green_exactly_where_it_exits_with_0(
    result: Callable[[], Result], tmp_path: Path
) -> None:
    suite = only("testsuite", parsed(result(), tmp_path))
    red = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    assert (red == 0) == (result().exit_status == 0)


@pytest.mark.parametrize("result", EVERY)
def test_the_counts_are_those_of_the_cases(result: Callable[[], Result], tmp_path: Path) -> None:
    suite = only("testsuite", parsed(result(), tmp_path))
    counts = {"failures": "failure", "errors": "error", "skipped": "skipped", "tests": ""}
    for attribute, tag in counts.items():
        assert int(suite.attrib[attribute]) == len(suite.findall(f"testcase/{tag}".rstrip("/")))


def test_a_failure_has_the_guarantee_what_was_seen_and_the_reproduction(tmp_path: Path) -> None:
    result = Result("crash", violations=[lost("item 1"), lost("item 2")])
    failure = only("failure", parsed(result, tmp_path))
    assert failure.get("type") == "lost"
    assert failure.get("message") == "Every acknowledged item is there after every crash."
    assert "item 1" in text(failure)
    assert "item 2" in text(failure)
    assert REPRODUCE in text(failure).splitlines()


def test_an_error_has_every_reason(tmp_path: Path) -> None:
    result = Result("crash", reasons=["no kill landed", "no acknowledgement"])
    error = only("error", parsed(result, tmp_path))
    assert error.get("message") == "no kill landed"
    assert text(error).splitlines() == ["no kill landed", "no acknowledgement"]


def test_figures_are_properties(tmp_path: Path) -> None:
    root = parsed(violated(), tmp_path)
    found = {item.get("name"): item.get("value") for item in root.iter("property")}
    assert found["verdict"] == "violation"
    assert found["seed"] == "7"
    assert found["target"] == "my-store"
    assert found["landed"] == "198"
    assert found["violating_kills"] == '{"lost": 12}'
    assert only("testsuite", root).get("time") == "3.420"
    assert text(only("system-out", root)) == "items that were never announced were not looked for"


@pytest.mark.parametrize("message", [HOSTILE, UNPRINTABLE, "]]>", "Zürich\n東京"])
def test_whatever_a_message_holds_the_file_is_xml(message: str, tmp_path: Path) -> None:
    shown = message.replace(UNPRINTABLE, r"\x00\x07\x0b\x1b\x7f\x85\u202e\u2028\ufffe\ud800")
    failure = only("failure", parsed(hostile(message), tmp_path))
    assert failure.get("message") == shown.replace("\x1b", r"\x1b")
    assert (tmp_path / "junit.xml").read_bytes().startswith(b"<?xml version='1.0' encoding='utf-8'")


def test_a_path_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_junit(held(), str(tmp_path / "missing" / "junit.xml"))
