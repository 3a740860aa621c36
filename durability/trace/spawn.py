"""Starting a target under the filter: fork, filter, hand over the listener, exec or call."""

import os
import resource
import signal
import socket
import sys
import traceback
from contextlib import suppress
from typing import Final, NamedTuple, NoReturn

from durability.errors import MechanismError
from durability.targets.contract import Command, Launch
from durability.trace import system
from durability.trace.filter import BASE, Filter

_HIGH_NUMBERS: Final = 1024
"""How many descriptors above BASE a target gets at least, where its hard limit allows."""
REFUSAL_BYTES_MAX: Final = 4096


class Child(NamedTuple):
    """A started target: its process, a descriptor of it, its listener and its output pipes.

    `refusal` is a socket that closes as the program begins; before that it may say why it cannot.
    """

    process: int
    descriptor: int
    listener: int
    stdout: int
    stderr: int
    refusal: int


def spawn(launch: Launch, filter_: Filter) -> Child:
    """Start a target under a filter; it dies with the thread that calls this.

    Raises MechanismError where the kernel refuses the filter.
    """
    ours, theirs = socket.socketpair()
    stdout, stdout_write = os.pipe()
    stderr, stderr_write = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # or the child would print what we have buffered
    supervisor = os.getpid()
    process = os.fork()
    if not process:
        ours.close()
        os.close(stdout)
        os.close(stderr)
        _become(launch, filter_, supervisor, theirs, stdout_write, stderr_write)
    theirs.close()
    os.close(stdout_write)
    os.close(stderr_write)
    message, descriptors, *_ = socket.recv_fds(ours, REFUSAL_BYTES_MAX, 1)
    if not descriptors:
        ours.close()
        os.close(stdout)
        os.close(stderr)
        os.waitpid(process, 0)
        raise refused(message)
    for pipe in (stdout, stderr):
        os.set_blocking(pipe, False)
    return Child(process, os.pidfd_open(process), descriptors[0], stdout, stderr, ours.detach())


def refused(reason: bytes) -> MechanismError:
    """Return the error that says why a target did not begin."""
    text = reason.decode("utf-8", "replace") or "it ended at once"
    return MechanismError(f"the target cannot be started under the tracer: {text}")


def _become(
    launch: Launch,
    filter_: Filter,
    supervisor: int,
    handover: socket.socket,
    stdout: int,
    stderr: int,
) -> NoReturn:
    """Turn this forked child into the target."""
    status = 127
    try:
        system.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(status)  # the supervisor died before we could tie ourselves to it
        os.setsid()
        system.become_readable()
        system.restore_signals()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, number in ((nothing, 0), (stdout, 1), (stderr, 2)):
            os.dup2(source, number)
            os.close(source)
        listener = filter_.install()
        socket.send_fds(handover, [b"listener"], [listener])
        os.close(listener)
        if isinstance(launch, Command):
            os.closerange(3, handover.fileno())
            os.closerange(handover.fileno() + 1, BASE)
            os.chdir(launch.cwd)
            os.execve(launch.argv[0], launch.argv, dict(launch.env))  # noqa: S606 - no shell wanted
        handover.close()
        launch.function()
        status = 0
    except BaseException as error:  # noqa: BLE001 - nothing may unwind into the supervisor's own code
        text = traceback.format_exc()
        with suppress(OSError):
            handover.send(str(error).encode()[:REFUSAL_BYTES_MAX])
        os.write(2, text.encode("utf-8", "replace"))
        status = 1
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(status)


def raise_descriptor_limit() -> None:
    """Make room for numbers above BASE, as far as the hard limit allows; targets inherit it.

    The supervisor needs as much itself: it holds a copy of each file that a target holds.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = BASE + _HIGH_NUMBERS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        ceiling = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))
