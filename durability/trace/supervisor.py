"""The supervisor of one run: performs the target's changes for it, and kills it when told.

Theory of operation. Every call that changes the watched tree waits, by the filter, until this
single thread answers it. The thread performs the change itself and records it, so the order of
records is the order of execution: nothing slips in between. A kill at an exact byte is a shorter
write followed by SIGKILL while all other calls of the target are still waiting.

The target's standard output is read before each call is performed: what was promised before a
change stands before it in the trace.
"""

import errno
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from durability.targets.contract import Launch
from durability.trace import system
from durability.trace.descriptor_calls import DescriptorCalls
from durability.trace.file_calls import FileCalls
from durability.trace.files import Files
from durability.trace.filter import NUMBER, Filter
from durability.trace.kill_order import KillOrder
from durability.trace.name_calls import NameCalls
from durability.trace.notification import LET_RUN, Listener, Notification
from durability.trace.paths import Paths
from durability.trace.process_calls import ProcessCalls
from durability.trace.processes import Process, Processes, descendants
from durability.trace.spawn import REFUSAL_BYTES_MAX, Child, raise_descriptor_limit, refused, spawn
from durability.trace.tape import KillReached, Tape
from durability.trace.trace import Trace
from durability.trace.tree import initial_records

_STDERR_BYTES_MAX: Final = 16384
_TICK_MS: Final = 50
"""How often, at least, the deadline, interrupts and abandoned locks are looked at."""

_HANDLED_AS: Final = {
    **dict.fromkeys(("vfork",), "fork"),
    **dict.fromkeys(("execveat",), "execve"),
    **dict.fromkeys(("setreuid", "setresuid", "setfsuid"), "setuid"),
    **dict.fromkeys(("pivot_root", "mount"), "chroot"),
    **dict.fromkeys(("io_uring_setup", "io_setup"), "refuse"),
}
_COPIES: Final = {
    "copy_file_range": errno.EXDEV,
    "splice": errno.EINVAL,
    "sendfile": errno.EINVAL,
    "ioctl": errno.EOPNOTSUPP,
}

Handler = Callable[[Notification, Process], int]


class Stopped(Exception):  # noqa: N818 - whoever asked for the run wants it no more
    """The control pipe closed, or spoke, while a target ran; the target has been killed."""


@dataclass(frozen=True)
class Run:
    """How a run ended, and its trace.

    Exactly one of `exit_status` and `signal` is set. `reached` says that the ordered position was
    reached and the kill sent there. `stderr` is the end of what the target printed there.
    `differences` is where the disk is not what the trace says: empty, or the trace is not complete.
    """

    trace: Trace
    reached: bool
    exit_status: int | None
    signal: int | None
    stderr: str
    differences: list[str]
    elapsed_s: float

    def landed(self) -> bool:
        """Tell whether the kill took effect exactly where it was ordered."""
        return (
            self.reached
            and self.signal == signal.SIGKILL
            and self.trace.kill() is not None
            and not self.differences
            and not self.trace.untraceable()
        )


class Supervisor:
    """Runs targets one after another, each under the same filter.

    Must be used by a single-threaded process, as a target dies with the thread that forked it, and
    the process's umask, children and interrupts are this class's while it runs; best by one that is
    bound to one CPU, as its targets then are. `control`, if given, is a descriptor whose becoming
    readable (or closing) ends a run at once with `Stopped`.
    """

    def __init__(self, control: int | None = None) -> None:
        system.become_child_subreaper()
        raise_descriptor_limit()
        self._filter = Filter()
        self._control = control

    def run(
        self, launch: Launch, root: str, order: KillOrder | None = None, deadline_s: float = 60.0
    ) -> Run:
        """Start a target, trace what it does below `root`, kill it at `order` or at the deadline.

        Every process of the target has ended when this returns or raises; SIGINT and SIGTERM end
        the run and then act as they would have. Raises MechanismError where the target cannot be
        started or followed, Stopped where `control` says so.
        """
        began = time.monotonic()
        paths = Paths(os.path.realpath(os.fsencode(root)))
        with _interrupts_deferred() as interrupts:
            supervision = _Supervision(spawn(launch, self._filter), paths, order)
            try:
                # Nothing has changed yet: what the child wants to change waits for our answer.
                initial = initial_records(paths.root, supervision.files.inode)
                supervision.follow(began + deadline_s, self._control, interrupts)
            finally:
                status = supervision.end()
        trace = Trace(initial, supervision.tape.records)
        return Run(
            trace,
            supervision.tape.reached,
            os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            supervision.stderr.decode("utf-8", "backslashreplace"),
            trace.tree().differences(paths.root),
            time.monotonic() - began,
        )


@contextmanager
def _interrupts_deferred() -> Iterator[list[int]]:
    """Collect interrupts, so that none leaves a call half performed; let them act at the end."""
    pending: list[int] = []
    handlers = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    for number in handlers:
        signal.signal(number, lambda number, _: pending.append(number))
    try:
        yield pending
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for interrupt in pending:
            signal.raise_signal(interrupt)


class _Supervision:
    """One running target."""

    def __init__(self, child: Child, paths: Paths, order: KillOrder | None) -> None:
        self._child = child
        self._umask = os.umask(0)  # modes are masked by the caller's umask, not by ours
        self._listener = Listener(child.listener)
        self._processes = Processes(self._listener)
        self.files = Files(lambda: descendants(os.getpid()))
        self.tape = Tape(order)
        self.stderr = b""
        self._pipes = {
            child.refusal: self._hear_refusal,
            child.stdout: self._hear_stdout,
            child.stderr: self._hear_stderr,
        }
        descriptors = DescriptorCalls(self._listener, self.files, self.tape)
        self._handlers = _handlers(
            FileCalls(paths, self.files, self.tape, descriptors),
            NameCalls(paths, self.files, self.tape),
            descriptors,
            ProcessCalls(self._processes, self.files, self.tape),
        )

    def follow(self, deadline: float, control: int | None, interrupts: list[int]) -> None:
        """Answer calls until the target has ended, the position is reached or time is up.

        Ends too when there is something in `interrupts`.
        """
        child = self._child
        poll = select.poll()
        # In this order: what was printed before a call is heard before the call is performed.
        for descriptor in (*self._pipes, child.listener, child.descriptor):
            poll.register(descriptor, select.POLLIN)
        if control is not None:
            poll.register(control, select.POLLIN)
        only_a_call = [(child.listener, select.POLLIN)]
        tick = 0.0
        with suppress(KillReached):
            while (now := time.monotonic()) < deadline and not interrupts:
                if now >= tick:
                    tick = now + _TICK_MS / 1000
                    if self.files.locks_in_use:
                        self.files.release_unheld()
                events = poll.poll(_TICK_MS)
                if events == only_a_call:
                    self._answer()
                elif not self._hear(events, poll, control):
                    return

    def _hear(self, events: list[tuple[int, int]], poll: select.poll, control: int | None) -> bool:
        """Take in what poll(2) found, output before calls; tell whether the target goes on."""
        for descriptor, event in events:
            if descriptor in self._pipes:
                if not self._pipes[descriptor]():
                    poll.unregister(descriptor)
            elif descriptor == self._child.listener:
                if event & select.POLLIN:
                    self._answer()
                else:
                    poll.unregister(descriptor)  # nobody is left to call; the last one is ending
            elif descriptor == control:
                raise Stopped
            else:
                return False
        return True

    def _answer(self) -> None:
        """Perform one waiting call and answer it."""
        call = self._listener.receive()
        if call is None:
            return
        try:
            process = self._processes.of(call.thread, call.id)
            result = self._handlers[call.call](call, process)
        except ProcessLookupError:
            return  # it was killed while it waited
        except OSError as error:
            self._listener.answer(call.id, 0, error.errno or errno.EIO)
            return
        if result == LET_RUN:
            self._listener.let_run(call.id)
        else:
            self._listener.answer(call.id, result)

    def _hear_stdout(self) -> bool:
        return self.tape.hear(self._child.stdout)

    def _hear_stderr(self) -> bool:
        try:
            data = os.read(self._child.stderr, _STDERR_BYTES_MAX)
        except BlockingIOError:
            return True
        self.stderr = (self.stderr + data)[-_STDERR_BYTES_MAX:]
        return bool(data)

    def _hear_refusal(self) -> bool:
        if reason := os.read(self._child.refusal, REFUSAL_BYTES_MAX):
            raise refused(reason)
        return False

    def end(self) -> int:
        """Kill what still lives, hear its last words, let go; return the first process's status.

        The listener is closed only when nobody is left under the filter: a call that waits in a
        process without listener fails with ENOSYS, and the process would go on.
        """
        child = self._child
        lived = not _is_readable(child.descriptor)
        if lived:
            signal.pidfd_send_signal(child.descriptor, signal.SIGKILL)
        _, status = os.waitpid(child.process, 0)
        sweep()
        for descriptor in (child.stdout, child.stderr):
            while _is_readable(descriptor) and self._pipes[descriptor]():
                pass
        if lived and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            self.tape.kill()
        self.files.close()
        self._processes.forget()
        os.umask(self._umask)
        for descriptor in child[1:]:
            os.close(descriptor)
        return status


def sweep() -> None:
    """Kill and reap every descendant of this process; orphans have become its children."""
    with suppress(ChildProcessError):
        while True:
            for process in descendants(os.getpid()):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            os.waitpid(-1, 0)


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _handlers(*owners: object) -> dict[int, Handler]:
    """Return the handler of each notified call by its number."""
    handlers: dict[int, Handler] = {}
    for name, number in NUMBER.items():
        if name in _COPIES:
            handlers[number] = partial(_fail, error=_COPIES[name])
            continue
        method = _HANDLED_AS.get(name, name)
        for owner in owners:
            if hasattr(owner, method):
                handlers[number] = getattr(owner, method)
    return handlers


def _fail(_call: Notification, _process: Process, *, error: int) -> int:
    """Refuse a copy between descriptors: programs fall back to reading and writing."""
    raise OSError(error, os.strerror(error))
