import subprocess
import sys

import pytest

from fuzz.campaign import PROJECT, environment
from fuzz.targets import TARGETS, invariant, load


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_says_what_it_tests(name: str) -> None:
    path = PROJECT / "fuzz" / "targets" / f"{name}.py"
    assert path.read_text().startswith('"""Invariant tested: ')
    assert invariant(name).endswith(".")


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_an_input(name: str) -> None:
    target = load(name)
    for data in (b"", b"\0", bytes(500), b"\xff" * 500, bytes(range(256))):
        target.check(data)
        target.probe(data)


def test_no_target_imports_the_fuzzing_engine() -> None:
    code = (
        "import sys; from fuzz.targets import TARGETS, load; [load(name) for name in TARGETS];"
        "sys.exit('atheris' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_module_of_targets_is_listed() -> None:
    files = (PROJECT / "fuzz" / "targets").glob("[a-z]*.py")
    assert sorted(path.stem for path in files) == sorted(TARGETS)
