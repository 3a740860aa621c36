"""The catalogue of defects, D01 to D49: each has a test here that fails where it is planted.

A test names the defects that it finds, so `pytest tests/raft -k d29` runs what is about one of
them. That the tests do fail is shown by planting the defects, not from here.
"""

import ast
from pathlib import Path

import pytest

DEFECTS = [f"d{number:02d}" for number in range(1, 50)]


@pytest.fixture(scope="module")
def names() -> list[str]:
    """The name of every test in this folder."""
    return [
        node.name
        for path in sorted(Path(__file__).parent.glob("test_*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_is_named_by_a_test(defect: str, names: list[str]) -> None:
    assert [name for name in names if defect in name.split("_")]
