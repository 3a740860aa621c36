"""A finding: an input that breaks a law, what was raised for it, and where."""

import hashlib
import os
import traceback
from collections.abc import Callable
from typing import Final, NamedTuple, Self

from durability.audit.violation import Violation
from fuzz.target import Check

_PACKAGES: Final = ("raft", "fuzz", "durability")
_MESSAGE_CHARACTERS_MAX: Final = 1000


class Identity(NamedTuple):
    """Two findings are one if the same error was raised at the same place of the project's."""

    error: str
    place: str

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Name an error by its type, or the law's name, and its innermost frame in this project."""
        place = ""
        for frame in traceback.extract_tb(error.__traceback__):
            parts = frame.filename.split(os.sep)
            packages = [number for number, part in enumerate(parts) if part in _PACKAGES]
            if packages:
                place = f"{'/'.join(parts[packages[-1] :])}:{frame.lineno} in {frame.name}"
        return cls(getattr(error, "kind", "") or type(error).__name__, place)


class Finding(Violation, frozen=True, kw_only=True):
    """One finding as it is reported: its input is the file `path`, made as small as it came.

    `kind` is the error's type, or the law's name; `invariant` is what the target tests, in words;
    `place` is the innermost frame of the project's.
    """

    target: str
    place: str
    path: str = ""


def run_check(check: Check, data: bytes) -> BaseException | None:
    """Return what a check raises for the input, if anything.

    What escapes may be anything: not even an exit, asked for in the middle of a decoder, is one.
    """
    try:
        check(data)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever leaves a decoder is the finding
        return error
    return None


def describe(error: BaseException) -> str:
    """Return an error's text, not longer than a person reads."""
    return f"{type(error).__name__}: {error}"[:_MESSAGE_CHARACTERS_MAX]


def file_name(data: bytes) -> str:
    """Name an input by its SHA-1, as libFuzzer does."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def shrink(data: bytes, fails: Callable[[bytes], bool], attempts: int = 2000) -> bytes:
    """Make an input smaller and plainer that still fails, in at most so many attempts.

    Pieces are cut out, from halves down to single bytes, and then what is left is set to zero.
    """
    size = len(data) // 2
    while size:
        start = 0
        while start < len(data) and attempts:
            attempts -= 1
            smaller = data[:start] + data[start + size :]
            if fails(smaller):
                data = smaller
            else:
                start += size
        size //= 2
    for position in range(min(len(data), attempts)):
        plainer = data[:position] + b"\0" + data[position + 1 :]
        if plainer != data and fails(plainer):
            data = plainer
    return data
