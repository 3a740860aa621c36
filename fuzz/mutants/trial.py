"""Trying a changed module on many inputs, in a child of this process that imports it anew.

A fork costs a few milliseconds and inherits all that is slow to import; an interpreter of its own
for each of hundreds of mutants would cost more than the inputs do.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import resource
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final, NamedTuple

import msgspec

from fuzz.errors import InconclusiveError
from fuzz.finding import describe, run_check
from fuzz.mutator import StructureMutator
from fuzz.target import Target
from fuzz.targets import forget, load
from fuzz.watch import Watched, watching

_ADDRESS_SPACE_BYTES: Final = 2**30
_INPUT_BYTES_MAX: Final = 1024
_SAMPLE: Final = 8
_HANG_S: Final = 0.5
"""Ten times what the slowest input takes: an endless loop is noticed after one to two of these."""


class Attempt(msgspec.Struct, frozen=True):
    """After how many inputs a law was broken, 0 if none was, and by what."""

    executions: int = 0
    message: str = ""


class Changed(NamedTuple):
    """A module of the package under test, and the code that it is to have instead of its own."""

    module: str
    code: CodeType


def attempt(
    changed: Changed, target: str, inputs: Callable[[Target], Iterable[bytes]], *, probe: bool
) -> Attempt:
    """Hold inputs against the laws, up to the first that breaks one, while a module is changed.

    Each is held against all of them or, with `probe`, as in a fuzzing run: most against those that
    cost little.

    Raises:
        InconclusiveError: the child died of something else.
    """
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory(prefix="raft-fuzz-") as scratch:
        child = os.fork()
        if child == 0:
            os.close(reader)
            tempfile.tempdir = scratch
            _run(writer, lambda: _attempt(changed, target, inputs, probe=probe))
        os.close(writer)
        with open(reader, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(child, 0)
    if status:
        raise InconclusiveError(f"the child on {target} ended with {status}")
    return msgspec.json.decode(said, type=Attempt)


def _run(writer: int, work: Callable[[], Attempt]) -> None:
    """Do the work of a child and end it: nothing of its parent's is to be cleaned up by it."""
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))
        os.write(writer, msgspec.json.encode(work()))
        status = 0
    finally:
        os._exit(status)


def _attempt(
    changed: Changed, name: str, inputs: Callable[[Target], Iterable[bytes]], *, probe: bool
) -> Attempt:
    forget()
    sys.meta_path.insert(0, _Finder(changed))
    try:
        target = load(name)
    except Exception as error:  # noqa: BLE001 - the changed module may fail in any way
        return Attempt(1, f"it cannot even be imported: {describe(error)}")
    check, quick = Watched(target.check), Watched(target.probe)
    with watching(check, quick, tick_s=_HANG_S):
        for number, data in enumerate(inputs(target), start=1):
            error = run_check(quick, data) if probe else None
            if error is None and (not probe or zlib.crc32(data) % _SAMPLE == 0):
                error = run_check(check, data)
            if error is not None:
                return Attempt(number, describe(error))
    return Attempt()


def replayed(paths: Sequence[Path]) -> Callable[[Target], Iterator[bytes]]:
    """Return a source of the inputs in these files."""
    return lambda _: (path.read_bytes() for path in paths)


def mutated(paths: Sequence[Path], seed: int, count: int) -> Callable[[Target], Iterator[bytes]]:
    """Return a source of `count` mutations of these files, without an engine that guides them."""

    def draw(target: Target) -> Iterator[bytes]:
        random_source = random.Random(seed)
        mutator = StructureMutator(target.layout, lambda data, _: _blind(data, random_source))
        inputs = [path.read_bytes() for path in paths] or [b""]
        for number in range(count):
            data = random_source.choice(inputs)
            for _ in range(random_source.choice((1, 1, 2))):
                data = mutator(data, _INPUT_BYTES_MAX, random_source.getrandbits(32) + number)
            yield data

    return draw


def _blind(data: bytes, draw: random.Random) -> bytes:
    """Change, cut out or insert one byte."""
    position = draw.randint(0, len(data))
    behind = position + draw.randint(0, 1)
    return data[:position] + draw.randbytes(draw.randint(0, 1)) + data[behind:]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the one module that is changed, and leaves all others to who comes next."""

    def __init__(self, changed: Changed) -> None:
        self._changed = changed

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where the module is, with a loader that has other code."""
        if name != self._changed.module:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert found is not None
        assert found.origin is not None
        loader = _Loader(name, found.origin, self._changed.code)
        return importlib.util.spec_from_file_location(name, found.origin, loader=loader)


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, _: str) -> CodeType:
        return self._code
