"""Every kind that the code can report has its guarantee, and every guarantee is reported."""

import ast
from pathlib import Path

import durability.audit
from durability.audit.guarantees import GUARANTEES


def kinds_in_the_code() -> set[str]:
    """The literal first argument of `breach` and `violate`, and the kinds of malformed bytes."""
    kinds = {"corrupt"}  # the default
    audit = Path(durability.audit.__path__[0])
    disk = audit.parent / "disk"
    for path in (*audit.glob("*.py"), audit.parent / "lint.py", *disk.glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call):
                continue
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            candidates = [word.value for word in call.keywords if word.arg == "kind"]
            if name in {"breach", "violate"}:
                candidates += call.args[:1]
            kinds |= {str(c.value) for c in candidates if isinstance(c, ast.Constant)}
    return kinds


def test_the_guarantees_are_those_that_can_be_broken() -> None:
    assert kinds_in_the_code() == set(GUARANTEES)


def test_each_is_one_sentence() -> None:
    for sentence in GUARANTEES.values():
        assert sentence[0].isupper()
        assert sentence.endswith(".")
