"""A child forked from this process, which becomes a program; and an end to all of them.

The caller must be single-threaded: what is forked dies with the *thread* that forked it, and a
forked `Call` would wait for ever for a lock that another thread held.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Final, NoReturn

from durability.errors import TargetError
from durability.targets.contract import Call, Command, Program
from durability.trace import system

REFUSAL_BYTES_MAX: Final = 4096


def fork(
    program: Program,
    *,
    stdout: int,
    stderr: int,
    refusal: int,
    prepare: Callable[[], None] = lambda: None,
) -> int:
    """Start a program in a session of its own, which dies with this thread; return its number.

    It gets copies of two descriptors as its output and nothing as its input. `prepare` is called in
    the child last of all. `refusal`, which no exec leaves open, is closed there as the program
    begins; where it cannot begin, it is told why in `REFUSAL_BYTES_MAX` at most.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # or the child would print what we have buffered
    parent = os.getpid()
    process = os.fork()
    if not process:
        _become(program, parent, (stdout, stderr), refusal, prepare)
    return process


def _become(
    program: Program,
    parent: int,
    output: tuple[int, int],
    refusal: int,
    prepare: Callable[[], None],
) -> NoReturn:
    """Turn this forked child into the program.

    It leaves by `_exit` alone: any other way would run the parent's exit handlers.
    """
    status = 1
    try:
        system.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(status)  # it died before we could tie ourselves to it
        os.setsid()
        system.restore_signals()
        for number, source in enumerate((os.open(os.devnull, os.O_RDONLY), *output)):
            os.dup2(source, number)
            os.close(source)
        try:
            prepare()
            if isinstance(program, Command):
                _execute(program)
        except BaseException as error:
            os.write(refusal, str(error).encode()[:REFUSAL_BYTES_MAX])
            raise
        os.close(refusal)
        _call(program)
        status = 0
    finally:
        os._exit(status)


def _execute(command: Command) -> NoReturn:
    path = command.argv[0]
    try:
        os.chdir(command.cwd)
        os.execve(path, command.argv, dict(command.env))  # noqa: S606 - no shell wanted
    except OSError as error:
        raise TargetError(f"cannot execute {path} in {command.cwd}: {error}") from error


def _call(call: Call) -> None:
    """Call the function with streams of its own; what it raises is printed there and passed on."""
    sys.stdout, sys.stderr = (
        os.fdopen(descriptor, "w", 1, "utf-8", "backslashreplace", closefd=False)
        for descriptor in (1, 2)
    )
    try:
        call.function()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()


def our_children() -> set[int]:
    """Return the children of the main thread: its own, and the orphans that it adopted."""
    number = os.getpid()
    with open(f"/proc/{number}/task/{number}/children", encoding="ascii") as file:
        return {int(child) for child in file.read().split()}


def sweep(spared: AbstractSet[int] = frozenset()) -> None:
    """Kill and reap our children and what they started, other than those that are spared.

    When a process dies its children become ours, if this process is a subreaper; so what is left
    comes to us by and by, whatever group or session it is in.
    """
    while strays := our_children() - spared:
        for stray in strays:
            os.kill(stray, signal.SIGKILL)
        for stray in strays:
            os.waitpid(stray, 0)
