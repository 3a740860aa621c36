"""A result as one HTML file that needs nothing else: no script, font or image from anywhere."""

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from durability.report.document import write_file
from durability.report.figures import facts, tables
from durability.report.result import Result
from durability.report.wording import conclusion, visible


def write_page(result: Result, path: str) -> None:
    """Write the result as a page. Raises UsageError where the path cannot be written."""
    environment = Environment(
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    source = files("durability.report").joinpath("page.html.jinja").read_text("utf-8")
    page = environment.from_string(source).render(
        result=result,
        conclusion=conclusion(result),
        facts=facts(result),
        tables=tables(result),
        versions=_versions(),
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )
    write_file(page.encode(), path)


def _finalize(value: Any) -> Any:
    """Show control characters in all that a template prints, but in what it has made itself."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _versions() -> str:
    return (
        f"raft-durability {version('raft-durability')} on Python {platform.python_version()},"
        f" {platform.system()} {platform.release()} ({platform.machine()})"
    )
