"""A directory to watch; every test here needs a kernel that lets us watch it."""

from functools import cache
from pathlib import Path

import pytest

from durability.errors import MechanismError
from durability.targets.contract import Call
from durability.trace.supervisor import Supervisor
from tests.durability.trace.alone import alone


@cache
def refusal(root: str) -> str:
    """Say why nothing can be traced here; '' where it can."""
    try:
        alone(lambda: Supervisor().run(Call(lambda: None), root))
    except MechanismError as error:
        return str(error)
    return ""


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty directory to watch."""
    why = refusal(str(tmp_path_factory.mktemp("probe")))
    if why:
        pytest.skip(why)
    return tmp_path_factory.mktemp("root")
