"""A reader of traces that reads them otherwise, or not at all, is noticed."""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from durability.errors import UnreadableError
from durability.trace import trace as traces
from durability.trace.records import Output, Write
from durability.trace.trace import MAGIC, Trace, load
from fuzz.laws import BrokenLawError
from fuzz.targets import trace_file
from fuzz.targets.trace_file import check

TRACE = Trace([], [Write(1, 1, b"log", 0, b"x", 1), Output(b"ack 1\n")], {0: "store.py:3"})
FILE = msgspec.msgpack.encode({"magic": MAGIC, "version": 1, "trace": TRACE})


@dataclass
class Reader:
    """Reads a trace as it should, and does one thing otherwise."""

    wrong: str

    def __call__(self, path: str, max_bytes: int = traces.TRACE_BYTES_MAX) -> Trace:
        if self.wrong == "error":
            raise UnreadableError("it cannot be read")
        trace = load(path, traces.TRACE_BYTES_MAX if self.wrong == "limit" else max_bytes)
        if self.wrong == "sources" and max_bytes < traces.TRACE_BYTES_MAX:
            return Trace(trace.initial, trace.records)
        return trace


def test_traces_and_others() -> None:
    for data in (FILE, FILE[:-1], b"", FILE.replace(b"version\x01", b"version\x02")):
        check(data)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("error", "does not name the file"),
        ("limit", "are permitted"),
        ("sources", "written and read again"),
    ],
)
def test_a_wrong_reader(wrong: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_file, "load", Reader(wrong))
    with pytest.raises(BrokenLawError, match=said):
        check(FILE)


def test_a_reader_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "VERSION", 2)
    with pytest.raises(BrokenLawError, match="the format itself is refused"):
        check(FILE)


def test_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trace_file, "_DIRECTORY", type("Directory", (), {"name": str(tmp_path)}))
    check(FILE)
    assert os.listdir(tmp_path) == []
