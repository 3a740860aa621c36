import html
import platform
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path

import pytest

from durability.errors import UsageError
from durability.report.page import write_page
from durability.report.result import Result
from durability.report.wording import conclusion
from tests.durability.report.results import (
    EVERY,
    HOSTILE,
    REPRODUCE,
    UNPRINTABLE,
    held,
    hostile,
    violated,
)

VOID = {"meta", "br", "link", "img", "input", "base"}


class Page(HTMLParser):
    """The text of each element, by its name, and every attribute; refuses what does not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data


def written(result: Result, tmp_path: Path) -> str:
    path = tmp_path / "report.html"
    write_page(result, str(path))
    return path.read_text("utf-8")


@pytest.mark.parametrize("bad", ["<p><b></p></b>", "<p>"])
def test_the_parser_refuses(bad: str) -> None:
    with pytest.raises(AssertionError):
        Page(bad)


@pytest.mark.parametrize("result", EVERY)
def test_every_page_is_well_formed_and_says_the_verdict(
    result: Callable[[], Result], tmp_path: Path
) -> None:
    page = Page(written(result(), tmp_path))
    [heading] = page.texts["h1"]
    assert heading == conclusion(result()).replace("\x1b", r"\x1b")
    assert ("header", "class", result().verdict) in page.attributes
    assert page.texts["title"] == [f"{result().verdict}: durability crash"]


def test_a_violation_is_shown_whole(tmp_path: Path) -> None:
    page = Page(written(violated(), tmp_path))
    assert page.texts["h3"] == [
        "Every acknowledged item is there after every crash.",
        "Recovery succeeds after every crash.",
    ]
    [broken, known] = page.texts["article"]
    assert violated().violations[0].message in broken
    assert violated().known[0].message in known
    assert page.texts["code"] == [REPRODUCE]
    assert page.texts["li"] == violated().reasons + violated().notes
    assert dict(zip(page.texts["dt"], page.texts["dd"], strict=True))["landed"] == "198"


def test_the_known_is_set_apart(tmp_path: Path) -> None:
    page = Page(written(violated(), tmp_path))
    styles = [value for tag, name, value in page.attributes if (tag, name) == ("article", "class")]
    assert styles == ["violation", "known"]


def test_a_page_without_findings_has_no_empty_sections(tmp_path: Path) -> None:
    page = Page(written(held(), tmp_path))
    assert page.texts["h2"] == ["What was done"]


def test_records_are_a_table(tmp_path: Path) -> None:
    checks = [{"name": "exact kill", "ok": True, "detail": "20 of 20"}]
    page = Page(written(Result("doctor", figures={"checks": checks}), tmp_path))
    assert page.texts["th"] == ["name", "ok", "detail"]
    assert page.texts["td"] == ["exact kill", "yes", "20 of 20"]


def test_versions_and_date_are_in_the_footer(tmp_path: Path) -> None:
    [footer] = Page(written(held(), tmp_path)).texts["footer"]
    assert f"raft-durability {version('raft-durability')}" in footer
    assert f"Python {platform.python_version()}" in footer
    assert platform.release() in footer
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", footer)


@pytest.mark.parametrize("result", EVERY)
def test_a_page_asks_nobody_for_anything(result: Callable[[], Result], tmp_path: Path) -> None:
    text = written(result(), tmp_path)
    page = Page(text)
    assert not {name for _, name, _ in page.attributes} & {"src", "href", "srcset", "style"}
    assert "script" not in page.texts
    assert not re.search(r"url\(|@import|https?:", text)


def test_foreign_text_is_never_markup(tmp_path: Path) -> None:
    text = written(hostile(), tmp_path)
    shown = HOSTILE.replace("\x1b", r"\x1b")
    assert "<script>" not in text
    assert Page(text).texts["code"] == [shown, shown]
    assert html.escape(shown, quote=False) in text


def test_foreign_text_cannot_reorder_the_page(tmp_path: Path) -> None:
    text = written(hostile(UNPRINTABLE), tmp_path)
    assert not set(UNPRINTABLE) & set(text)
    assert r"\u202e" in text


def test_colours_can_be_read(tmp_path: Path) -> None:
    """Text on its ground has the contrast of WCAG AA, 4.5 to 1, in the light and in the dark."""
    text = written(held(), tmp_path)
    light, dark = [
        dict(re.findall(r"--(\w+): (#\w{6})", block))
        for block in re.findall(r":root \{([^}]*)\}", text)
    ]
    for colours in (light, dark):
        for ground in ("ground", "card"):
            for ink in ("text", "quiet", "held", "violation", "inconclusive"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_path_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_page(held(), str(tmp_path / "missing" / "report.html"))
