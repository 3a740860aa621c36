"""What a fuzzing process tells the one that started it: one JSON object a line."""

from collections.abc import Iterable
from typing import Final

import msgspec


class Started(msgspec.Struct, frozen=True, tag=True):
    """The first input is about to be tested.

    `cpu_s` is what starting up has cost, in seconds of CPU time; `tested` is where the package
    under test was imported from.
    """

    cpu_s: float
    tested: str


class Found(msgspec.Struct, frozen=True, tag=True):
    """An input breaks a law: the error's type, its innermost place in the project, its text.

    `executions` is the number of inputs that had been tested by then, this one included.
    """

    executions: int
    kind: str
    place: str
    message: str
    data: bytes


_DECODER: Final = msgspec.json.Decoder(Started | Found)


def encode_line(line: Started | Found) -> bytes:
    """Encode one line."""
    return msgspec.json.encode(line) + b"\n"


def decode_lines(data: bytes) -> Iterable[Started | Found]:
    """Decode a report; a last line that is not whole is left out."""
    for line in data.splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield _DECODER.decode(line)
