"""One process from its start to its end, what it printed, and nothing left of it afterwards.

The caller must be single-threaded: what is forked dies with the *thread* that forked it, and a
forked `Call` would wait for ever for a lock that another thread held.
"""

import os
import select
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from typing import Final, NoReturn

from durability.errors import TargetError
from durability.targets.contract import Call, Command, Launch
from durability.trace.system import (
    become_child_subreaper,
    restore_signals,
    set_parent_death_signal,
)

_READ_BYTES: Final = 1 << 16  # what a pipe holds
STDOUT_LIMIT_BYTES: Final = 1 << 24
_STDERR_LIMIT_BYTES: Final = 1 << 14
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

    Raises TargetError where a command cannot be executed.
    """
    begun_s = time.monotonic()
    child = _Child(launch, stdout_limit_bytes, stderr_limit_bytes)
    try:
        child.follow(begun_s + timeout_s)
    finally:
        code = child.end()
    if child.refusal:
        raise TargetError(child.refusal.decode())
    return Ended(
        exit_status=code if code is not None and code >= 0 else None,
        signal=-code if code is not None and code < 0 else None,
        stdout=bytes(child.stdout),
        stdout_bytes=child.stdout_bytes,
        stderr=child.stderr,
        elapsed_s=time.monotonic() - begun_s,
    )


class _Child:
    """A running process and our ends of its pipes."""

    def __init__(self, launch: Launch, stdout_limit_bytes: int, stderr_limit_bytes: int) -> None:
        self.stdout = bytearray()
        self.stdout_bytes = 0
        self.stderr = b""
        self.refusal = b""
        self._stdout_limit_bytes = stdout_limit_bytes
        self._stderr_limit_bytes = stderr_limit_bytes

        become_child_subreaper()
        self._bystanders = _children()
        pipes = [os.pipe() for _ in range(3)]
        parent = os.getpid()
        self._number = os.fork()
        if self._number == 0:
            _become(launch, parent, *(theirs for _, theirs in pipes))
        for _, theirs in pipes:
            os.close(theirs)
        self._stdout, self._stderr, self._refusal = (ours for ours, _ in pipes)
        self._exit = os.pidfd_open(self._number)
        self._open = {self._stdout, self._stderr, self._refusal, self._exit}
        self._poll = select.poll()
        for descriptor in self._open:
            self._poll.register(descriptor, select.POLLIN)

    def follow(self, deadline_s: float) -> None:
        """Read what it prints until it has exited and closed stdout, or until the deadline.

        What is there at the deadline is still taken in. Time in which this process itself was
        stopped does not count: the child may have waited for us.
        """
        looked_s = time.monotonic()
        while self._open & {self._stdout, self._exit}:
            left_s = max(0.0, deadline_s - looked_s)
            wait_s = min(left_s, _TICK_S)
            for descriptor, _ in self._poll.poll(wait_s * 1000):
                if descriptor == self._exit or not self._read(descriptor):
                    self._open.remove(descriptor)
                    self._poll.unregister(descriptor)
            if not left_s:
                return
            began_s, looked_s = looked_s, time.monotonic()
            stopped_s = looked_s - began_s - wait_s
            if stopped_s > _TICK_S:
                deadline_s += stopped_s  # it was us who stood still: Ctrl-Z, a suspended machine

    def end(self) -> int | None:
        """Kill and reap all that is left; return as `subprocess` does, None if our kill ended it.

        When a process dies its children become ours, so what is left comes to us by and by,
        whatever group or session it is in.
        """
        had_ended = _is_readable(self._exit)
        signal.pidfd_send_signal(self._exit, signal.SIGKILL)
        _, status = os.waitpid(self._number, 0)
        # It may have ended by itself since we looked: its status says so, unless that is our kill.
        code = os.waitstatus_to_exitcode(status)
        killed = code == -signal.SIGKILL and not had_ended
        while strays := _children() - self._bystanders:
            for stray in strays:
                os.kill(stray, signal.SIGKILL)
                os.waitpid(stray, 0)
        # Nobody is left to write, so these end: what it had printed counts, read or not.
        for descriptor in self._open - {self._exit}:
            while self._read(descriptor):
                pass
        for descriptor in (self._stdout, self._stderr, self._refusal, self._exit):
            os.close(descriptor)
        return None if killed else code

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


def _children() -> set[int]:
    """Return the children of the main thread: its own, and the orphans that it adopted."""
    number = os.getpid()
    with open(f"/proc/{number}/task/{number}/children", encoding="utf-8") as file:
        return {int(child) for child in file.read().split()}


def _become(launch: Launch, parent: int, stdout: int, stderr: int, refusal: int) -> NoReturn:
    """Turn this forked child into what was asked for.

    It leaves by `_exit` alone: any other way would run the parent's exit handlers, and write what
    the parent's buffers held at the fork a second time.
    """
    status = 1
    try:
        os.setsid()
        set_parent_death_signal(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(status)  # the parent had died before the line above
        restore_signals()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        if isinstance(launch, Command):
            _execute(launch, refusal)
        for descriptor in (stdout, stderr, refusal):
            os.close(descriptor)
        _call(launch)
        status = 0
    finally:
        os._exit(status)


def _execute(command: Command, refusal: int) -> NoReturn:
    try:
        os.chdir(command.cwd)
        os.execve(command.argv[0], command.argv, command.env)  # noqa: S606 - no shell wanted
    except OSError as error:
        os.write(refusal, f"cannot execute {command.argv[0]} in {command.cwd}: {error}".encode())
    os._exit(127)


def _call(call: Call) -> None:
    """Call the function with streams of its own; what it raises is printed there and passed on."""
    sys.stdout, sys.stderr = (
        os.fdopen(descriptor, "w", 1, "utf-8", "backslashreplace", closefd=False)
        for descriptor in (1, 2)
    )
    try:
        call.function()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        raise
