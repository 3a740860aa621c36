"""The supervisor of one run: performs the target's changes for it, and kills it when told.

Theory of operation. Every call that changes the watched tree waits, by the filter, until this
single thread answers it. The thread performs the change itself and records it, so the order of
records is the order of execution: nothing slips in between. A kill at an exact byte is a shorter
write followed by SIGKILL while all other calls of the target are still waiting.

The target's standard output is read before each call is performed: what was promised before a
change stands before it in the trace.

A server's client is a second child, outside the filter, and it is its output that is read. When it
has printed an acknowledgement, the server had sent the reply before, and everything that the reply
promises had been performed before that; so here too an acknowledgement stands late at worst. For
the same reason what the client still prints while both are killed counts: a reply that it has read
was sent, whatever the server was about to change.
"""

import errno
import math
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Final

from durability.targets.contract import Call, Command, Launch, Service
from durability.trace import system
from durability.trace.child import REFUSAL_BYTES_MAX, sweep
from durability.trace.descriptor_calls import DescriptorCalls
from durability.trace.disk import Disk
from durability.trace.failure import CallHeld, DiskFailure, FailureOrder
from durability.trace.file_calls import FileCalls
from durability.trace.files import Files
from durability.trace.filter import Filter
from durability.trace.handlers import handlers
from durability.trace.kill_order import KillOrder
from durability.trace.name_calls import NameCalls
from durability.trace.notification import LET_RUN, Listener
from durability.trace.paths import Paths
from durability.trace.process_calls import ProcessCalls
from durability.trace.processes import Processes, descendants, living_threads
from durability.trace.readiness import Readiness
from durability.trace.source_lines import SourceLines
from durability.trace.spawn import (
    Child,
    raise_descriptor_limit,
    refused,
    spawn,
    spawn_untraced,
)
from durability.trace.tape import KillReached, Tape
from durability.trace.trace import Trace
from durability.trace.tree import initial_records
from durability.trace.volatile import Volatile

LACKED_ROOM: Final = "no space was left for what it wrote"
"""A run's fault where the disk of this machine was full, not one that fails by order."""
_STDERR_BYTES_MAX: Final = 16384
_PIPE_BYTES: Final = 1 << 16
_TICK_MS: Final = 50
"""How often, at least, the deadline, interrupts and abandoned locks are looked at."""
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
_QUIET_S: Final = 0.2
"""So long nothing happens, while all threads wait for held calls, before the run is over."""
_READINESS_MS: Final = 2
"""How often it is looked whether a server is ready."""


class Stopped(Exception):  # noqa: N818 - whoever asked for the run wants it no more
    """The control pipe closed, or spoke, while a target ran; the target has been killed."""


@dataclass(frozen=True)
class Run:
    """How a run ended, and its trace.

    Exactly one of `exit_status` and `signal` is set; a server is killed once its client has ended.
    `reached` says that the ordered position was reached and the kill sent there, `timed_out` that
    it was killed at the deadline instead. `stderr` is the end of what the target printed there.
    `differences` is where the disk is not what the trace says: empty, or the trace is not complete.
    `fault` says why the run was not what it should have been, where that is so: a disk was full, or
    a server was not asked. `met` are the calls, with their paths, that an ordered failure of the
    disk could have met, where none was to be met.
    """

    trace: Trace
    reached: bool
    exit_status: int | None
    signal: int | None
    stderr: str
    differences: list[str]
    elapsed_s: float
    timed_out: bool
    fault: str = ""
    met: list[tuple[str, bytes]] = field(default_factory=list)

    def landed(self) -> bool:
        """Tell whether the kill took effect exactly where it was ordered."""
        return (
            self.reached
            and self.signal == signal.SIGKILL
            and self.trace.kill() is not None
            and not self.fault
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

    def __init__(self, control: int | None = None, volatile: tuple[str, ...] = ()) -> None:
        """Prepare to run targets; `volatile` is as for `Target`."""
        system.become_child_subreaper()
        raise_descriptor_limit()
        self._for_programs, self._for_calls = Filter(standard_too=True), Filter(standard_too=False)
        self._control = control
        self._volatile = Volatile(volatile)

    def run(
        self,
        launch: Launch,
        root: str,
        order: KillOrder | None = None,
        deadline_s: float = 60.0,
        failure: FailureOrder | None = None,
        *,
        with_sources: bool = False,
    ) -> Run:
        """Start a target, trace what it does below `root`, kill it at `order` or at the deadline.

        The disk fails as `failure` orders. Where every thread waits for a held call, the run ends.
        Of a `Call` the trace tells the lines that its changes come from, `with_sources`, which
        slows it down.

        Every process of the target has ended when this returns or raises; SIGINT and SIGTERM end
        the run and then act as they would have. Raises MechanismError where the target cannot be
        started or followed, Stopped where `control` says so.
        """
        began = time.monotonic()
        paths = Paths(os.path.realpath(os.fsencode(root)))
        with _interrupts_deferred() as interrupts:
            program = launch.server if isinstance(launch, Service) else launch
            filter_ = self._for_programs if isinstance(program, Command) else self._for_calls
            lines = SourceLines() if with_sources and isinstance(program, Call) else None
            tape = Tape(order)
            supervision = _Supervision(launch, filter_, paths, tape, self._volatile, failure, lines)
            try:
                # Nothing has changed yet: what the child wants to change waits for our answer.
                tape.initial = initial_records(paths.root, supervision.files.inode)
                supervision.follow(began + deadline_s, self._control, interrupts)
            finally:
                status = supervision.end()
        trace = Trace(tape.initial, tape.records, tape.sources)
        return Run(
            trace,
            tape.reached,
            os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            supervision.stderr.decode("utf-8", "backslashreplace"),
            trace.tree().differences(paths.root, self._volatile),
            time.monotonic() - began,
            supervision.timed_out,
            supervision.fault(),
            supervision.disk.met,
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

    def __init__(
        self,
        launch: Launch,
        filter_: Filter,
        paths: Paths,
        tape: Tape,
        volatile: Volatile,
        failure: FailureOrder | None,
        lines: SourceLines | None,
    ) -> None:
        service, program = (
            (launch, launch.server) if isinstance(launch, Service) else (None, launch)
        )
        child, listener = spawn(program, filter_, lines.follow if lines else lambda: None)
        self._child = child
        self._lines = lines
        self._umask = os.umask(0)  # modes are masked by the caller's umask, not by ours
        self._listener = Listener(listener)
        self._processes = Processes(self._listener)
        self.files = Files(lambda: descendants(os.getpid()))
        self.tape = tape
        self.disk = Disk(failure, tape)
        self._quiet_until = math.inf
        self.stderr = b""
        self.timed_out = False
        self._lacked_room = False
        self._service = service
        self._readiness = None if service is None else Readiness(service.ready, child.process)
        self._client: Child | None = None
        self._client_status = 0
        self._pipes: dict[int, Callable[[], bool]] = {}
        self._poll = select.poll()
        self._hear_from(child, self.tape.hear if service is None else self._hear_server)
        descriptors = DescriptorCalls(
            self._listener, self.files, tape, volatile, standard_too=filter_.standard_too
        )
        self._handlers = handlers(
            FileCalls(paths, self.files, tape, descriptors, self.disk),
            NameCalls(paths, self.files, tape, self.disk),
            descriptors,
            ProcessCalls(self._processes, self.files, tape),
        )

    def _hear_from(self, child: Child, hear_stdout: Callable[[int], bool]) -> None:
        self._pipes |= {
            child.refusal: partial(self._hear_refusal, child.refusal),
            child.stdout: partial(hear_stdout, child.stdout),
            child.stderr: partial(self._hear_stderr, child.stderr),
        }

    def follow(self, deadline: float, control: int | None, interrupts: list[int]) -> None:
        """Answer calls until the target has ended, the position is reached or time is up.

        Ends too when there is something in `interrupts`.
        """
        only_a_call = [(self._listener.descriptor, select.POLLIN)]
        look = 0.0
        self._watch(control)
        with suppress(KillReached):
            while not interrupts and (now := time.monotonic()) < deadline:
                if self._is_stuck(now):
                    return
                if now >= look:
                    look = now + self._look(control) / 1000
                events = self._poll.poll(max(0, look - now) * 1000)
                if events and self.disk.is_holding:
                    self._quiet_until = time.monotonic() + _QUIET_S
                if events == only_a_call:
                    self._answer()
                elif not self._hear(events, control):
                    return
            self.timed_out = not interrupts and now >= deadline

    def _is_stuck(self, now: float) -> bool:
        """Tell whether every thread waits for a held call, where it has been quiet for a while.

        One that does not may be about to give up waiting for one that does.
        """
        if now < self._quiet_until:
            return False
        self._quiet_until = now + _QUIET_S
        return self.disk.holds(living_threads(descendants(os.getpid())))

    def _watch(self, control: int | None) -> None:
        """Poll in this order: what was printed before a call is heard before it is performed."""
        self._poll = select.poll()
        ends = [child.descriptor for child in (self._child, self._client) if child is not None]
        for descriptor in (*self._pipes, self._listener.descriptor, *ends):
            self._poll.register(descriptor, select.POLLIN)
        if control is not None:
            self._poll.register(control, select.POLLIN)

    def _look(self, control: int | None) -> int:
        """Do what is due from time to time; return in how many ms it is due again."""
        if self.files.locks_in_use:
            self.files.release_unheld()
        if self._service is None or self._readiness is None:
            return _TICK_MS
        if not self._readiness.is_reached():
            return _READINESS_MS
        self._readiness = None
        os.umask(self._umask)
        self._client = spawn_untraced(self._service.client)
        os.umask(0)
        self._hear_from(self._client, self.tape.hear)
        self._watch(control)
        return _TICK_MS

    def _hear(self, events: list[tuple[int, int]], control: int | None) -> bool:
        """Take in what poll(2) found, output before calls; tell whether the target goes on."""
        for descriptor, event in events:
            if descriptor in self._pipes:
                if not self._pipes[descriptor]():
                    self._poll.unregister(descriptor)
                    del self._pipes[descriptor]
            elif descriptor == self._listener.descriptor:
                if event & select.POLLIN:
                    self._answer()
                else:
                    self._poll.unregister(descriptor)  # nobody is left to call; the last one ends
            elif descriptor == control:
                raise Stopped
            else:
                if self._client is not None and descriptor == self._client.descriptor:
                    _, self._client_status = os.waitpid(self._client.process, 0)
                return False
        return True

    def _answer(self) -> None:
        """Perform one waiting call and answer it."""
        call = self._listener.receive()
        if call is None:
            return
        try:
            process = self._processes.of(call.thread, call.id)
            if self._lines is not None:
                self.tape.source = self._lines.of(call.thread)
            result = self._handlers[call.call](call, process)
        except ProcessLookupError:
            return  # it was killed while it waited
        except CallHeld:
            self._quiet_until = time.monotonic() + _QUIET_S
            return
        except OSError as error:
            by_order = isinstance(error, DiskFailure)
            self._lacked_room |= error.errno in _NO_ROOM and not by_order
            self._listener.answer(call.id, 0, error.errno or errno.EIO)
            return
        if result == LET_RUN:
            self._listener.let_run(call.id)
        else:
            self._listener.answer(call.id, result)

    def _hear_server(self, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, _PIPE_BYTES)
        except BlockingIOError:
            return True
        if self._readiness is not None:
            self._readiness.hear(data)
        return bool(data)

    def _hear_stderr(self, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, _STDERR_BYTES_MAX)
        except BlockingIOError:
            return True
        self.stderr = (self.stderr + data)[-_STDERR_BYTES_MAX:]
        return bool(data)

    def _hear_refusal(self, descriptor: int) -> bool:
        if reason := os.read(descriptor, REFUSAL_BYTES_MAX):
            raise refused(reason)
        return False

    def fault(self) -> str:
        """Return why the run was not what it should have been; mostly nothing."""
        if self._lacked_room:
            return LACKED_ROOM
        if self.tape.reached:
            return ""
        if self._readiness is not None:
            return "its server did not become ready"
        code = os.waitstatus_to_exitcode(self._client_status)
        return (
            f"its client {'exited with' if code > 0 else 'died of signal'} {abs(code)}"
            if code
            else ""
        )

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
        children = [child] if self._client is None else [child, self._client]
        for descriptor in chain.from_iterable((c.stdout, c.stderr) for c in children):
            hear = self._pipes.get(descriptor)
            while hear is not None and _is_readable(descriptor) and hear():
                pass
        if lived and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            self.tape.kill()
        self.files.close()
        self._processes.forget()
        os.umask(self._umask)
        for ended in children:
            ended.close()
        os.close(self._listener.descriptor)
        if self._lines is not None:
            self._lines.close()
        return status


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
