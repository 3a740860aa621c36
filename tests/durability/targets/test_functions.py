"""A target that is two functions: how it is named, found again, and told what was acknowledged."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from durability.errors import TargetError
from durability.targets import catalogue, functions
from durability.targets.contract import Call
from tests.durability.trace.alone import alone
from tests.stores import log_store


def test_functions_of_a_module_have_a_name_that_finds_them() -> None:
    name = functions.name_of(log_store.good, log_store.recover)
    assert name.endswith("tests/stores/log_store.py:good:recover")
    assert functions.is_name(name)
    found = catalogue.find(name)
    assert found.name == "good"
    assert found.speech.recovered is None


def test_others_have_none() -> None:
    def inner(_directory: str, _ack: Any) -> None:
        """Be not at the top of a module."""

    assert functions.name_of(inner, log_store.recover) == ""
    assert functions.name_of(log_store.good, lambda _directory, _acked: None) == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("/nonexistent/store.py:work:recover", "no such file"),
        ("{}/store.py:work:missing", "no function 'missing'"),
        ("{}/store.py:number:recover", "no function 'number'"),
        ("{}/broken.py:work:recover", "cannot be imported: NameError"),
    ],
)
def test_what_cannot_be_found_is_said(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "store.py").write_text("number = 1\ndef work(d, a): pass\nrecover = work\n")
    (tmp_path / "broken.py").write_text("nothing")
    with pytest.raises(TargetError, match=text):
        catalogue.find(name.format(tmp_path))


def test_values_come_back_as_they_were_acknowledged() -> None:
    """What the workload prints itself is none of it."""
    values = [1, "two\n", {"three": [b"\0"]}]

    def workload(_directory: str, ack: Any) -> None:
        for value in values:
            sys.stdout.write("progress\n")
            ack(value)

    reader, writer = os.pipe()

    def work() -> None:
        os.dup2(writer, 1)
        launch = functions.target(workload, log_store.recover).workload("/")
        assert isinstance(launch, Call)
        launch.function()
        sys.stdout.flush()

    alone(work)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        lines = pipe.read().splitlines()
    speech = functions.target(workload, log_store.recover).speech
    found = [speech.acknowledged.search(line) for line in lines]
    assert functions.acknowledged_values([one["id"] for one in found if one]) == values
    assert len(found) == len(values)
