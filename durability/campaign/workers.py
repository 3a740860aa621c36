"""Worker processes on this machine, one to a CPU.

Workers are forked from the process that asks for them, so they begin warm. Each is single-threaded
(a traced target dies with the thread that forked it) and ends when its pipe to the parent closes,
however the parent ended. Items and results are bytes; what they mean is the caller's.
"""

import os
import pickle
import selectors
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from types import TracebackType
from typing import Final, NoReturn, Self

from durability.errors import DurabilityError, InconclusiveError

Work = Callable[[bytes], bytes]
Start = Callable[[int], AbstractContextManager[Work]]
"""Entered once in each worker, with the descriptor that closes when the parent ends."""

_DONE: Final = b"="
_FAILED: Final = b"!"
_LENGTH: Final = struct.Struct("=Q")
_GRACE_S: Final = 5.0


class WorkerError(InconclusiveError):
    """A worker failed by itself: a defect of the harness, or the machine ran out of something."""


class Workers:
    """A fixed number of forked workers; a context manager that leaves none behind."""

    def __init__(self, jobs: int, start: Start) -> None:
        """Fork `jobs` workers. The caller must have no other threads yet."""
        self._workers: dict[socket.socket, int] = {}
        cpus = sorted(os.sched_getaffinity(0))
        for number in range(jobs):
            ours, theirs = socket.socketpair()
            sys.stdout.flush()
            sys.stderr.flush()
            process = os.fork()
            if not process:
                ours.close()
                for other in self._workers:
                    other.close()
                _serve(theirs, cpus[number % len(cpus)], start)
            theirs.close()
            self._workers[ours] = process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """Close the pipes, wait for the workers to tidy up, kill those that do not."""
        for connection in self._workers:
            connection.close()
        deadline = time.monotonic() + _GRACE_S
        for process in self._workers.values():
            while not _has_ended(process):
                if time.monotonic() > deadline:
                    os.kill(process, signal.SIGKILL)
                    os.waitpid(process, 0)
                    break
                time.sleep(0.002)
        self._workers.clear()

    def map(self, items: Iterable[bytes], until: float | None = None) -> Iterator[bytes]:
        """Yield the result of each item, in the order they are done.

        No item is begun after `until` (on `time.monotonic`); those begun are finished. Raises
        WorkerError where a worker fails.
        """
        waiting = iter(items)
        with selectors.DefaultSelector() as selector:
            for worker in self._workers:
                selector.register(worker, selectors.EVENT_READ, worker)
            busy = sum(self._feed(worker, waiting, until) for worker in self._workers)
            while busy:
                for key, _ in selector.select():
                    connection: socket.socket = key.data
                    result = _receive(connection)
                    if result is None:
                        raise WorkerError("a worker process ended unexpectedly")
                    if result[:1] == _FAILED:
                        # Our own forked child wrote it, a moment ago.
                        raise pickle.loads(result[1:])  # noqa: S301
                    busy -= 1
                    yield result[1:]
                    busy += self._feed(connection, waiting, until)

    def _feed(self, connection: socket.socket, items: Iterator[bytes], until: float | None) -> bool:
        """Hand the next item to a worker; tell whether there was one."""
        if until is not None and time.monotonic() >= until:
            return False
        item = next(items, None)
        if item is None:
            return False
        _send(connection, item)
        return True


def run_alone(work: Callable[[int], bytes]) -> bytes:
    """Call a function in a worker of its own; it is given the descriptor that ends it.

    For what needs a single-threaded process whose children are all its own. Raises what the
    function raised, if it is a DurabilityError, else WorkerError.
    """

    @contextmanager
    def start(control: int) -> Iterator[Work]:
        yield lambda _: work(control)

    with Workers(1, start) as workers:
        (outcome,) = workers.map([b""])
    return outcome


def _serve(connection: socket.socket, cpu: int, start: Start) -> NoReturn:
    """Work until the parent closes the pipe; never return into the parent's code."""
    status = 0
    try:
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the parent decides what Ctrl-C means
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.sched_setaffinity(0, {cpu})
        with start(connection.fileno()) as work:
            while (item := _receive(connection)) is not None:
                _send(connection, _DONE + work(item))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
        status = 1
        failure: DurabilityError
        if isinstance(error, DurabilityError):
            failure = error
        elif isinstance(error, OSError):  # a full disk, a directory without permission
            failure = InconclusiveError(f"this machine refused: {error}")
        else:
            failure = WorkerError(traceback.format_exc())
        with suppress(OSError):
            _send(connection, _FAILED + pickle.dumps(failure))
    os._exit(status)


def _has_ended(process: int) -> bool:
    try:
        return os.waitpid(process, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def _send(connection: socket.socket, message: bytes) -> None:
    connection.sendall(_LENGTH.pack(len(message)) + message)


def _receive(connection: socket.socket) -> bytes | None:
    """Return the next message; None at the end of the pipe."""
    head = _receive_exactly(connection, _LENGTH.size)
    return None if head is None else _receive_exactly(connection, _LENGTH.unpack(head)[0])


def _receive_exactly(connection: socket.socket, length: int) -> bytes | None:
    found = b""
    while len(found) < length:
        try:
            part = connection.recv(min(length - len(found), 1 << 20))
        except ConnectionResetError:
            return None
        if not part:
            return None
        found += part
    return found
