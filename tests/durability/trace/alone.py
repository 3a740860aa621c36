"""Running a supervisor where it must run: in a single-threaded process of its own.

A target dies with the thread that forked it, and a run changes what belongs to the whole process:
its umask, its children, its signal mask. A worker of pytest-xdist has threads, and other tests.
"""

import os
import pickle
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from typing import NoReturn, TypeVar, cast

from durability.targets.contract import Command
from durability.trace.system import set_parent_death_signal

Result = TypeVar("Result")

_LIMIT_S = 120.0


def alone(function: Callable[[], Result]) -> Result:
    """Call a function in a forked child; return its pickled result, or raise what it raised."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # The child of a threaded process is single-threaded, and that is the point of it.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        os.close(reader)
        _report(function, writer)
    os.close(writer)
    ended = os.pidfd_open(child)
    if not select.select([ended, reader], [], [], _LIMIT_S)[0]:
        signal.pidfd_send_signal(ended, signal.SIGKILL)
    with open(reader, "rb") as report:
        content = report.read()
    os.close(ended)
    _, status = os.waitpid(child, 0)
    if not content:
        raise AssertionError(f"the process ended with wait status {status:#x} and no result")
    result, raised = pickle.loads(content)
    if raised is not None:
        raise raised
    return cast("Result", result)


def _report(function: Callable[[], object], writer: int) -> NoReturn:
    set_parent_death_signal(signal.SIGKILL)
    try:
        content = pickle.dumps((function(), None))
    except BaseException as error:  # noqa: BLE001 - it is raised again, in the test
        text = "".join(traceback.format_exception(error))
        error.add_note(text)
        try:
            content = pickle.dumps((None, error))
        except (pickle.PicklingError, TypeError, AttributeError):
            content = pickle.dumps((None, AssertionError(text)))
    with open(writer, "wb") as report:
        report.write(content)
    os._exit(0)


def python(source: str, *arguments: str, cwd: str, env: Mapping[str, str] | None = None) -> Command:
    """Describe a Python program given by its source."""
    argv = (sys.executable, "-I", "-S", "-c", source, *arguments)
    return Command(argv, {"PATH": os.environ["PATH"]} if env is None else env, cwd)
