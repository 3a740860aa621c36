"""One target as an executable of its own, for an infrastructure that brings engine and corpus.

    python -m fuzz.oss_fuzz.entry [libFuzzer's flags and folders]

Whatever breaks a law leaves as an exception, which the engine takes for a crash. The build makes a
copy for each target, with its name.
"""

import sys
from typing import Final

import atheris

from fuzz.targets import TARGETS, load

TARGET = "message"

_CHECKED_EVERY: Final = 64


def main() -> None:
    """Fuzz until the engine ends it."""
    modules = TARGETS[TARGET].modules
    packages = sorted({module.partition(".")[0] for module in modules})
    with atheris.instrument_imports(include=packages):
        target = load(TARGET)
    for place in target.places:
        atheris.instrument_func(place)
    executions = 0

    def test_one_input(data: bytes) -> None:
        nonlocal executions
        executions += 1
        target.probe(data)
        if executions % _CHECKED_EVERY == 0:
            target.check(data)

    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
