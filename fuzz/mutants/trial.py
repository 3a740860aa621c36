"""Trying a changed module on many inputs, in a child of this process that imports it anew.

A fork costs a few milliseconds and inherits all that is slow to import; an interpreter of its own
for each of hundreds of mutants would cost more than the inputs do.

A full disk breaks laws as well as a change does. So whatever is found has a control: the same
inputs, in another child, on the module as it is. Where that breaks a law too, nothing is shown.
"""

import importlib
import importlib.machinery
import importlib.util
import math
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from types import CodeType, ModuleType
from typing import Final, NamedTuple

import msgspec

from durability.errors import InconclusiveError
from fuzz.finding import describe, run_check
from fuzz.target import Check, Target
from fuzz.targets import forget, load
from fuzz.watch import Watched, watching

_ADDRESS_SPACE_BYTES: Final = 2**30
_HANG_S: Final = 0.5
"""Ten times what the slowest input takes: an endless loop is noticed after one to two of these."""


class Attempt(msgspec.Struct, frozen=True):
    """After how many inputs a law was broken, 0 if none was, and by what.

    A target that cannot even be made ready for its first input counts as broken by that one.
    `unfinished` says why the attempt has shown nothing; it is empty where it has.
    """

    executions: int = 0
    message: str = ""
    unfinished: str = ""


class Changed(NamedTuple):
    """A module of the package under test, and the code that it is to have instead of its own."""

    module: str
    code: CodeType


Search = Callable[[Target, Check], None]
"""Makes inputs for a target and calls the check with each; the first that breaks a law ends it."""


def attempt(changed: Changed, target: str, search: Search) -> Attempt:
    """Search for an input of a target that breaks a law because a module is changed.

    Raises:
        InconclusiveError: the changed module, or a name in it, cannot be imported; a child failed;
            or as many inputs break a law while nothing is changed.
    """
    done = _in_child(lambda: _attempt(changed, target, search, math.inf), target)
    if done.executions:
        control = _in_child(lambda: _attempt(None, target, search, done.executions), target)
        refuse_unchanged(control)
    return done


def refuse_unchanged(control: Attempt) -> None:
    """Refuse what was found in a changed module where the control, which is not, has it too.

    Raises:
        InconclusiveError: a law was broken in the control.
    """
    if control.executions:
        raise InconclusiveError(f"it breaks a law as it is, unchanged: {control.message}")


def _in_child(work: Callable[[], Attempt], target: str) -> Attempt:
    """Do the work in a fork of this process, which has a folder for temporary files of its own.

    Raises:
        InconclusiveError: the child failed, or says that it has shown nothing.
    """
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory(prefix="raft-fuzz-") as scratch:
        child = os.fork()
        if child == 0:
            os.close(reader)
            tempfile.tempdir = scratch
            _run(writer, work)
        os.close(writer)
        with open(reader, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(child, 0)
    if status:
        raise InconclusiveError(f"the child on {target} ended with {status}")
    done = msgspec.json.decode(said, type=Attempt)
    if done.unfinished:
        raise InconclusiveError(done.unfinished)
    return done


def _run(writer: int, work: Callable[[], Attempt]) -> None:
    """Do the work of a child and end it: nothing of its parent's is to be cleaned up by it."""
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))
        os.write(writer, msgspec.json.encode(work()))
        status = 0
    finally:
        os._exit(status)


class _OverError(Exception):
    """The search is over: an input has broken a law, or there have been as many as there may be."""


def _attempt(changed: Changed | None, name: str, search: Search, inputs_max: float) -> Attempt:
    """Import everything anew, one module changed or none, and search among so many inputs."""
    forget()
    if changed is not None:
        sys.meta_path.insert(0, _Finder(changed))
        try:
            importlib.import_module(changed.module)
        except Exception as error:  # noqa: BLE001 - the changed module may fail in any way
            # No decoder is at fault: the change itself makes no program.
            return Attempt(unfinished=f"it cannot be imported: {describe(error)}")
    try:
        target = load(name)
    except ImportError as error:
        return Attempt(unfinished=f"it has not what others import: {describe(error)}")
    except Exception as error:  # noqa: BLE001 - likewise
        # What the inputs are tried on, a data directory for example, is made by what is changed.
        return Attempt(1, f"before any input: {describe(error)}")
    check = Watched(target.check)
    found: list[Attempt] = []

    def hold(data: bytes) -> None:
        error = run_check(check, data)
        if error is not None:
            found.append(Attempt(check.executions, describe(error)))
        if error is not None or check.executions >= inputs_max:
            raise _OverError

    with watching(check, tick_s=_HANG_S), suppress(_OverError):
        search(target, hold)
    return found[0] if found else Attempt()


class _Finder(MetaPathFinder):
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

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        return self._code
