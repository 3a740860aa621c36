"""Holding many inputs against every law without a fuzzing engine, up to the first that breaks one.

    python -m fuzz.mutants.attempt TARGET replay FILE...
    python -m fuzz.mutants.attempt TARGET random SEED
    python -m fuzz.mutants.attempt TARGET hypothesis SEED

`random` draws 5,000 uniformly random inputs: how decoders are tested where no engine is used.
`hypothesis` draws 1,500 structured ones. Prints an `Attempt` as JSON.
"""

import random
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from fuzz.finding import describe, run_check
from fuzz.target import Target
from fuzz.targets import load
from fuzz.watch import Watched, watching

RANDOM_INPUTS: Final = 5_000
HYPOTHESIS_INPUTS: Final = 1_500

_RANDOM_BYTES_MAX: Final = 256
_ADDRESS_SPACE_BYTES: Final = 2**30


class Attempt(msgspec.Struct, frozen=True):
    """After how many inputs a law was broken, 0 if none was, and by what."""

    executions: int = 0
    message: str = ""


class _BrokenError(Exception):
    """The first input that breaks a law has been found."""


def _attempt(check: Watched, inputs: Iterator[bytes]) -> Attempt:
    for number, data in enumerate(inputs, start=1):
        error = run_check(check, data)
        if error is not None:
            return Attempt(number, describe(error))
    return Attempt()


def _random(seed: int) -> Iterator[bytes]:
    draw = random.Random(seed)
    for _ in range(RANDOM_INPUTS):
        yield draw.randbytes(draw.randint(0, _RANDOM_BYTES_MAX))


def _hypothesis(target: Target, check: Watched, seed: int) -> Attempt:
    # Imported here: it is a tool of the tests, and the other techniques work without.
    import hypothesis  # noqa: PLC0415 - as said

    from fuzz.strategies import inputs  # noqa: PLC0415 - likewise

    broken: list[Attempt] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=HYPOTHESIS_INPUTS,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(inputs(target.layout))
    def search(data: bytes) -> None:
        error = run_check(check, data)
        if error is not None:
            broken.append(Attempt(check.executions, describe(error)))
            raise _BrokenError

    with suppress(_BrokenError):
        search()
    return broken[0] if broken else Attempt()


def main() -> None:
    """Make one attempt."""
    name, technique, *arguments = sys.argv[1:]
    target = load(name)
    check = Watched(target.check)
    attempts: dict[str, Callable[[Sequence[str]], Attempt]] = {
        "replay": lambda files: _attempt(check, (Path(file).read_bytes() for file in files)),
        "random": lambda seed: _attempt(check, _random(int(seed[0]))),
        "hypothesis": lambda seed: _hypothesis(target, check, int(seed[0])),
    }
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))
    with watching(check):
        attempt = attempts[technique](arguments)
    sys.stdout.buffer.write(msgspec.json.encode(attempt))


if __name__ == "__main__":
    main()
