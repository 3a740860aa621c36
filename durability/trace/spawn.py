"""Starting a program under a filter, whose listener it hands over before it begins.

A server's client is started without the filter: it runs at native speed, and nothing waits for it.
"""

import os
import resource
import socket
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from durability.errors import MechanismError
from durability.targets.contract import Command, Program
from durability.trace import system
from durability.trace.child import REFUSAL_BYTES_MAX, fork
from durability.trace.filter import BASE, Filter

_HIGH_NUMBERS: Final = 1024
"""How many descriptors above BASE a target gets at least, where its hard limit allows."""
_DESCRIPTORS_MAX: Final = 1 << 20


class Child(NamedTuple):
    """A started program: its process, a descriptor of it, its output pipes.

    `refusal` is a socket that closes as the program begins; before that it may say why it cannot.
    """

    process: int
    descriptor: int
    stdout: int
    stderr: int
    refusal: int

    def close(self) -> None:
        """Close our descriptors of it."""
        for descriptor in self[1:]:
            os.close(descriptor)


def spawn(
    program: Program, filter_: Filter, follow: Callable[[], None] = lambda: None
) -> tuple[Child, int]:
    """Start a program under a filter; return it and its listener.

    It dies with the thread that calls this, and calls `follow` before it begins. Raises
    MechanismError where the kernel refuses.
    """
    child = _fork(program, filter_, follow)
    with socket.socket(fileno=os.dup(child.refusal)) as handover:
        message, descriptors, *_ = socket.recv_fds(handover, REFUSAL_BYTES_MAX, 1)
    if not descriptors:
        os.waitpid(child.process, 0)
        child.close()
        raise refused(message)
    return child, descriptors[0]


def spawn_untraced(program: Program) -> Child:
    """Start a program without a filter; it dies with the thread that calls this."""
    return _fork(program, None, lambda: None)


def _fork(program: Program, filter_: Filter | None, follow: Callable[[], None]) -> Child:
    ours, theirs = socket.socketpair()
    stdout, stdout_write = os.pipe()
    stderr, stderr_write = os.pipe()
    process = fork(
        program,
        stdout=stdout_write,
        stderr=stderr_write,
        refusal=theirs.fileno(),
        prepare=partial(_come_under, program, filter_, theirs, follow),
    )
    theirs.close()
    os.close(stdout_write)
    os.close(stderr_write)
    for pipe in (stdout, stderr):
        os.set_blocking(pipe, False)
    return Child(process, os.pidfd_open(process), stdout, stderr, ours.detach())


def refused(reason: bytes) -> MechanismError:
    """Return the error that says why a program did not begin."""
    text = reason.decode("utf-8", "replace") or "it ended at once"
    return MechanismError(f"the target cannot be started under the tracer: {text}")


def _come_under(
    program: Program,
    filter_: Filter | None,
    handover: socket.socket,
    follow: Callable[[], None],
) -> None:
    """Prepare a forked child: let it be read, drop what is not its own, install the filter."""
    system.become_readable()
    if isinstance(program, Command) or filter_ is None:
        # A client forked in the middle of a run would keep the server's files and locks alive.
        os.closerange(3, handover.fileno())
        os.closerange(handover.fileno() + 1, _DESCRIPTORS_MAX)
    if filter_ is not None:
        listener = filter_.install()
        socket.send_fds(handover, [b"listener"], [listener])
        os.close(listener)
    follow()


def raise_descriptor_limit() -> None:
    """Make room for numbers above BASE, as far as the hard limit allows; targets inherit it.

    The supervisor needs as much itself: it holds a copy of each file that a target holds.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = BASE + _HIGH_NUMBERS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        ceiling = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))
