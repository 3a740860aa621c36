"""Ways to make inputs without a fuzzing engine: each is a `fuzz.mutants.trial.Search`.

`replay` is what every test run does, `mutate` the structure-aware mutator with nothing to guide it.
The other two are there to compare with: `draw_uniformly` is how decoders are tested where no engine
is used, `draw_by_hypothesis` draws from the strategies that the tests use.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fuzz.mutants.trial import Search
from fuzz.mutator import StructureMutator
from fuzz.target import Check, Target

UNIFORM_INPUTS: Final = 5_000
HYPOTHESIS_INPUTS: Final = 1_500

_INPUT_BYTES_MAX: Final = 1024
_UNIFORM_BYTES_MAX: Final = 256


def replay(paths: Sequence[Path]) -> Search:
    """Search among the inputs in these files."""

    def search(target: Target, check: Check) -> None:
        del target
        for path in paths:
            check(path.read_bytes())

    return search


def mutate(paths: Sequence[Path], seed: int, count: int) -> Search:
    """Search among so many mutations of these files, of one or two steps each."""

    def search(target: Target, check: Check) -> None:
        draw = random.Random(seed)
        mutator = StructureMutator(target.layout, lambda data, _: _mutate_blindly(data, draw))
        inputs = [path.read_bytes() for path in paths]
        for _ in range(count):
            data = draw.choice(inputs)
            for _ in range(draw.choice((1, 1, 2))):
                data = mutator(data, _INPUT_BYTES_MAX, draw.getrandbits(32))
            check(data)

    return search


def draw_uniformly(seed: int) -> Search:
    """Search among inputs of which every byte is as likely as any other."""

    def search(target: Target, check: Check) -> None:
        del target
        draw = random.Random(seed)
        for _ in range(UNIFORM_INPUTS):
            check(draw.randbytes(draw.randint(0, _UNIFORM_BYTES_MAX)))

    return search


def draw_by_hypothesis(seed: int) -> Search:
    """Search among what Hypothesis draws by the target's layout."""

    def search(target: Target, check: Check) -> None:
        # Imported here: it is a tool of the tests, and the other searches work without.
        import hypothesis  # noqa: PLC0415 - as said

        from fuzz.strategies import inputs  # noqa: PLC0415 - likewise

        settings = hypothesis.settings(
            max_examples=HYPOTHESIS_INPUTS,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        hypothesis.seed(seed)(settings(hypothesis.given(inputs(target.layout))(check)))()

    return search


def _mutate_blindly(data: bytes, draw: random.Random) -> bytes:
    """Change, cut out or insert one byte."""
    position = draw.randint(0, len(data))
    behind = position + draw.randint(0, 1)
    return data[:position] + draw.randbytes(draw.randint(0, 1)) + data[behind:]
