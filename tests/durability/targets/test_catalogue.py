import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from durability.errors import MechanismError, TargetError
from durability.targets import catalogue
from durability.targets.contract import Call, Speech, Target

PROGRAMS = Path(__file__).parents[2] / "programs"


def reference() -> Target:
    pattern = re.compile("(?P<id>.)")
    return Target(
        name="reference",
        workload=lambda _directory: Call(lambda: None),
        recovery=lambda _directory: Call(lambda: None),
        speech=Speech(pattern, None, pattern),
    )


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Stand in for the node under test: only how it is looked up is tested here."""
    for name in catalogue._BUILT_IN.values():
        module = ModuleType(name)
        vars(module)["target"] = reference
        monkeypatch.setitem(sys.modules, name, module)
    return sys.modules["durability.targets.reference"]


@pytest.mark.usefixtures("module")
def test_known_name() -> None:
    assert catalogue.find("reference").name == "reference"
    first, *others = catalogue.available()
    assert (first.name, first.available, first.why) == ("reference", True, "")
    assert all(known.name.startswith("reference-") for known in others)
    assert all(known.version for known in catalogue.available())


def test_what_is_missing_is_said(module: ModuleType) -> None:
    def fail() -> Target:
        raise MechanismError("no such kernel")

    vars(module)["target"] = fail
    known, *_ = catalogue.available()
    assert (known.available, known.why) == (False, "no such kernel")


def test_path_of_a_description() -> None:
    assert catalogue.find(str(PROGRAMS / "set_store.toml")).name == "set-store"
    with pytest.raises(TargetError, match=r"reference\.toml: No such file"):
        catalogue.find("reference.toml")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("referense", "'referense'; did you mean reference"),
        ("etcd", "'etcd' .known: reference, .*, or the path of a .toml file"),
        ("./store", "'./store' .known"),
        ("", "'' .known"),
    ],
)
def test_unknown_name(name: str, said: str) -> None:
    with pytest.raises(TargetError, match=f"^no target is called {said}"):
        catalogue.find(name)
