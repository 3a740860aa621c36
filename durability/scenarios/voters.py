"""A group of nodes in this process, and the writes that its proposals cannot do without.

The leader runs in the calling thread, each other node in one of its own, and so do the bare writes:
what is timed on either side is the same number of threads and of syncs on the same disk, and the
hand-over from thread to thread is part of both.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Final, Self

import msgspec

from raft import Config, Message, Node, Peer, PeerRole
from raft.effects import SendMessage
from raft.errors import DiskError
from raft.segment import RECORD_BYTES

COMMAND: Final = bytes(64)
_WARM_UP: Final = 50


class _Clocked:
    """A state machine that notes when it was last applied to."""

    def __init__(self) -> None:
        self.applied_ns = 0

    def apply(self, index: int, command: bytes) -> None:
        """Note the time."""
        del index, command
        self.applied_ns = time.perf_counter_ns()

    def snapshot(self) -> Iterable[bytes]:
        """Never asked for: no snapshot is taken."""
        return ()

    def restore(self, chunks: Iterator[bytes]) -> None:
        """Never called: there is no snapshot."""


class Voters:
    """Nodes of one group, at rest but when called; the first of them leads."""

    def __init__(self, nodes: Sequence[Node], machine: _Clocked) -> None:
        """Take nodes that are bootstrapped, the first with `machine`."""
        self._leader, *self._followers = nodes
        self._machine = machine
        self._inboxes: dict[int, SimpleQueue[Message | DiskError | None]] = {
            node.node_id: SimpleQueue() for node in nodes
        }
        self._unanswered = 0
        self._threads: list[Thread] = []

    def __enter__(self) -> Self:
        self._threads = [Thread(target=self._follow, args=(node,)) for node in self._followers]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        for node in self._followers:
            self._inboxes[node.node_id].put(None)
        for thread in self._threads:
            thread.join()

    def elect(self) -> None:
        """Let the first node's time run until it leads."""
        while not self._leader.is_leader:
            self._leader.tick()
            self.settle()

    def propose(self) -> int:
        """Propose one command; return how many nanoseconds later the leader had applied it."""
        self._machine.applied_ns = 0
        began = time.perf_counter_ns()
        self._leader.propose(COMMAND)
        self._send()
        self._leader.sync()
        while not self._machine.applied_ns:
            self._receive()
        return self._machine.applied_ns - began

    def settle(self) -> None:
        """Wait until every message is answered: then all nodes are at rest."""
        self._send()
        while self._unanswered:
            self._receive()

    def _send(self) -> None:
        for effect in self._leader.take_effects():
            if isinstance(effect, SendMessage):
                self._unanswered += 1
                self._inboxes[effect.receiver].put(effect.message)

    def _receive(self) -> None:
        message = self._inboxes[self._leader.node_id].get()
        if isinstance(message, DiskError):
            raise message
        assert message is not None
        self._unanswered -= 1
        self._leader.step(message)
        self._send()

    def _follow(self, node: Node) -> None:
        inbox = self._inboxes[node.node_id]
        try:
            while isinstance(message := inbox.get(), Message):
                node.step(message)
                for effect in node.take_effects():
                    if isinstance(effect, SendMessage):
                        self._inboxes[effect.receiver].put(effect.message)
        except DiskError as error:  # the leader would wait for ever
            self._inboxes[self._leader.node_id].put(error)


@contextmanager
def elected(directory: str, count: int) -> Iterator[Voters]:
    """Show a group of `count` nodes with a leader; node n has its data in `directory`/node`n`.

    Raises DiskError, here or from what is done with the group.
    """
    peers = [Peer(node_id, PeerRole.VOTER, "") for node_id in range(1, count + 1)]
    machine = _Clocked()
    with ExitStack() as stack:
        nodes = []
        for peer in peers:
            path = os.path.join(directory, f"node{peer.id}")
            os.mkdir(path)
            config = Config(node_id=peer.id, random_seed=1, snapshot_threshold_entries=None)
            node = Node(config, machine if peer is peers[0] else _Clocked(), path)
            nodes.append(stack.enter_context(node))
            node.bootstrap(peers)
        voters = stack.enter_context(Voters(nodes, machine))
        voters.elect()
        yield voters


class BareFiles:
    """Files that are appended to and synced: the first by the caller, each other by a thread."""

    def __init__(self, directory: str, count: int) -> None:
        """Create so many files in `directory`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._first, *others = (
            os.open(os.path.join(directory, f"bare{number}"), flags, 0o600)
            for number in range(1, count + 1)
        )
        self._orders: dict[int, SimpleQueue[bool]] = {each: SimpleQueue() for each in others}
        self._done: SimpleQueue[int] = SimpleQueue()
        self._threads = [Thread(target=self._obey, args=item) for item in self._orders.items()]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        for orders in self._orders.values():
            orders.put(False)
        for thread in self._threads:
            thread.join()
        for descriptor in (self._first, *self._orders):
            os.close(descriptor)

    def write_one(self) -> int:
        """Append to one file and sync it; return how many nanoseconds that took."""
        began = time.perf_counter_ns()
        _write(self._first)
        return time.perf_counter_ns() - began

    def write_majority(self) -> int:
        """Do so with all files at once; return how many nanoseconds until a majority was done.

        The first file is always among it: it stands for the leader's.
        """
        began = time.perf_counter_ns()
        for orders in self._orders.values():
            orders.put(True)
        _write(self._first)
        needed = (len(self._orders) + 1) // 2
        for _ in range(needed):
            self._done.get()
        elapsed_ns = time.perf_counter_ns() - began
        for _ in range(len(self._orders) - needed):
            self._done.get()
        return elapsed_ns

    def _obey(self, descriptor: int, orders: SimpleQueue[bool]) -> None:
        while orders.get():
            _write(descriptor)
            self._done.put(descriptor)


_RECORD: Final = bytes(RECORD_BYTES + len(COMMAND))


def _write(descriptor: int) -> None:
    os.write(descriptor, _RECORD)
    os.fdatasync(descriptor)


class Series(msgspec.Struct, frozen=True):
    """Times in microseconds, measured by turns: proposals, and what they cannot do without.

    `one_us` are a write and fdatasync of one file, `majority_us` those of a file for each voter at
    once, until a majority was done; for a single voter the two are the same.
    """

    propose_us: list[float]
    one_us: list[float]
    majority_us: list[float]

    def ratio(self, percent: int) -> float:
        """Return how many times as long as a majority's bare writes a proposal takes."""
        return percentile(self.propose_us, percent) / percentile(self.majority_us, percent)

    def ratio_to_one(self, percent: int) -> float:
        """Return how many times as long as one bare write a proposal takes."""
        return percentile(self.propose_us, percent) / percentile(self.one_us, percent)


def measure(directory: str, voters: int, proposals: int) -> Series:
    """Time proposals and bare writes of as many bytes by turns, in one directory."""
    series = Series([], [], [])
    with elected(directory, voters) as group, BareFiles(directory, voters) as files:
        for number in range(_WARM_UP + proposals):
            propose_ns = group.propose()
            group.settle()
            one_ns = files.write_one()
            majority_ns = files.write_majority()
            if number >= _WARM_UP:
                series.propose_us.append(propose_ns / 1000)
                series.one_us.append(one_ns / 1000)
                series.majority_us.append(majority_ns / 1000)
    return series


def percentile(times: Sequence[float], percent: int) -> float:
    """Return the time that so many in a hundred do not exceed."""
    return sorted(times)[min(len(times) - 1, len(times) * percent // 100)]
