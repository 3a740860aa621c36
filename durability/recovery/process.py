"""One process from its start to its end, what it printed, and nothing left of it afterwards.

Or two, a server and its client.

The caller must be single-threaded, see `trace.child`.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from durability.errors import TargetError
from durability.targets.contract import Launch, Program, Service
from durability.trace.child import fork, our_children, sweep
from durability.trace.readiness import Readiness
from durability.trace.system import become_child_subreaper

_READ_BYTES: Final = 1 << 16  # what a pipe holds
STDOUT_LIMIT_BYTES: Final = 1 << 24
_STDERR_LIMIT_BYTES: Final = 1 << 14
_READINESS_S: Final = 0.002
_TICK_S: Final = 0.25
"""How long we wait at a time, so that it shows when we could not go on."""


@dataclass(frozen=True)
class Ended:
    """How a process ended and what it printed.

    `exit_status` is set where it exited, `signal` where it died of one, neither where it had to be
    killed at its deadline. `stdout` is the beginning and `stderr` the end of what was printed, each
    within its limit; `stdout_bytes` counts all that was printed.
    """

    exit_status: int | None
    signal: int | None
    stdout: bytes
    stdout_bytes: int
    stderr: bytes
    elapsed_s: float


def run(
    launch: Launch,
    *,
    timeout_s: float,
    stdout_limit_bytes: int = STDOUT_LIMIT_BYTES,
    stderr_limit_bytes: int = _STDERR_LIMIT_BYTES,
) -> Ended:
    """Run a process until it has exited and its stdout is closed, or until its time is over.

    Then everything it started is killed and reaped, whatever group or session it moved to. A
    process left behind with stdout open may still print, so it is waited for, until the deadline at
    most; it does not change how the first one ended.

    Of a `Service` the client is that process, and it begins once the server is ready. A server that
    fails before its client has ended is how both ended. Of stderr, what the one printed whose end
    counts stands last.

    Raises TargetError where a command cannot be executed.
    """
    begun_s = time.monotonic()
    deadline_s = begun_s + timeout_s
    become_child_subreaper()
    bystanders = our_children()
    children: list[_Child] = []

    def start(program: Program) -> _Child:
        children.append(_Child(program, stdout_limit_bytes, stderr_limit_bytes))
        return children[-1]

    try:
        if isinstance(launch, Service):
            speaker = _serve(launch, start, deadline_s)
        else:
            speaker = start(launch)
            _follow([speaker], speaker.has_ended, deadline_s)
        has_failed = any(child.code for child in children)
    finally:
        for child in reversed(children):  # the client first, or it would fail of its server's end
            child.kill()
        sweep(bystanders)
        for child in children:
            child.close()
    for child in children:
        if child.refusal:
            raise TargetError(child.refusal.decode())
    failed = [child for child in children if child.code]
    judged = failed[0] if has_failed else speaker
    code = judged.code
    return Ended(
        exit_status=code if code is not None and code >= 0 else None,
        signal=-code if code is not None and code < 0 else None,
        stdout=bytes(speaker.stdout),
        stdout_bytes=speaker.stdout_bytes,
        stderr=b"".join(
            child.stderr for child in sorted(children, key=lambda child: child is judged)
        )[-stderr_limit_bytes:],
        elapsed_s=time.monotonic() - begun_s,
    )


class _Child:
    """A process, our ends of its pipes, and how it exited: as `subprocess` says it, None if not."""

    def __init__(self, program: Program, stdout_limit_bytes: int, stderr_limit_bytes: int) -> None:
        self.code: int | None = None
        self.stdout = bytearray()
        self.stdout_bytes = 0
        self.stderr = b""
        self.refusal = b""
        self._stdout_limit_bytes = stdout_limit_bytes
        self._stderr_limit_bytes = stderr_limit_bytes

        pipes = [os.pipe() for _ in range(3)]
        stdout, stderr, refusal = (theirs for _, theirs in pipes)
        self.number = fork(program, stdout=stdout, stderr=stderr, refusal=refusal)
        for _, theirs in pipes:
            os.close(theirs)
        self._stdout, self._stderr, self._refusal = (ours for ours, _ in pipes)
        self._exit = os.pidfd_open(self.number)
        self.open = {self._stdout, self._stderr, self._refusal, self._exit}

    def take(self, descriptor: int) -> bool:
        """Take what a readable descriptor of ours has; tell whether more may come."""
        if descriptor == self._exit:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.number, 0)[1])
        elif self._read(descriptor):
            return True
        self.open.remove(descriptor)
        return False

    def has_ended(self) -> bool:
        """Tell whether it has exited and closed stdout."""
        return not self.open & {self._stdout, self._exit}

    def kill(self) -> None:
        """Kill and reap it if it has not exited."""
        if self._exit in self.open:
            had_ended = _is_readable(self._exit)
            signal.pidfd_send_signal(self._exit, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(self.number, 0)[1])
            # It may have ended by itself since we looked: its status says so, unless it is ours.
            if had_ended or code != -signal.SIGKILL:
                self.code = code

    def close(self) -> None:
        """Read to the ends of its pipes: what it had printed counts, whether read by now or not."""
        for descriptor in self.open - {self._exit}:
            while self._read(descriptor):
                pass
        for descriptor in (self._stdout, self._stderr, self._refusal, self._exit):
            os.close(descriptor)

    def _read(self, descriptor: int) -> bool:
        data = os.read(descriptor, _READ_BYTES)
        if descriptor == self._stdout:
            self.stdout_bytes += len(data)
            self.stdout += data[: self._stdout_limit_bytes - len(self.stdout)]
        elif descriptor == self._stderr:
            self.stderr = (self.stderr + data)[-self._stderr_limit_bytes :]
        else:
            self.refusal += data
        return bool(data)


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _serve(service: Service, start: Callable[[Program], _Child], deadline_s: float) -> _Child:
    """Start a server, wait until it is ready, run its client; return who was the last to begin."""
    server = start(service.server)
    readiness = Readiness(service.ready, server.number)
    heard = 0

    def may_be_asked() -> bool:
        nonlocal heard
        readiness.hear(bytes(server.stdout[heard:]))
        heard = len(server.stdout)
        return server.code is not None or readiness.is_reached()

    _follow([server], may_be_asked, deadline_s, _READINESS_S)
    if server.code or not may_be_asked():
        return server
    client = start(service.client)
    _follow([server, client], lambda: bool(server.code) or client.has_ended(), deadline_s)
    return client


def _follow(
    children: Iterable[_Child],
    is_over: Callable[[], bool],
    deadline_s: float,
    look_s: float = _TICK_S,
) -> None:
    """Take what children print and how they exit, until it is over, or until the deadline.

    Whether it is over is looked at whenever something happens, and every `look_s` at least. What
    is there at the deadline is still taken in. Time in which this process itself was stopped does
    not count: the children may have waited for us.
    """
    poll = select.poll()
    owners = {descriptor: child for child in children for descriptor in child.open}
    for descriptor in owners:
        poll.register(descriptor, select.POLLIN)
    looked_s = time.monotonic()
    while not is_over():
        left_s = max(0.0, deadline_s - looked_s)
        wait_s = min(left_s, look_s)
        for descriptor, _ in poll.poll(wait_s * 1000):
            if not owners[descriptor].take(descriptor):
                poll.unregister(descriptor)
        if not left_s:
            return
        began_s, looked_s = looked_s, time.monotonic()
        stopped_s = looked_s - began_s - wait_s
        if stopped_s > _TICK_S:
            deadline_s += stopped_s  # it was us who stood still: Ctrl-Z, a suspended machine
