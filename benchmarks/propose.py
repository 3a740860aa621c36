"""How long a proposal takes, against a bare write and fdatasync on the same disk.

One proposal at a time, from the call to `apply` returned, with a command of 64 bytes; the bare
series appends 64 bytes to a file and syncs it. The series alternate, so that whatever else the
machine does meets all of them. With `--voters 3` the three nodes are in this process, each in a
thread, and the proposal is timed until the leader has applied it. What that could cost at the least
is a third series, `bare_quorum`: as many threads write and sync a file each, and the first is timed
until it and a majority are done. It is more than one sync, since one disk serves them all.

    python benchmarks/propose.py --voters 3 --json propose.json
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from queue import SimpleQueue

from raft import Config, Message, Node, Peer, PeerRole
from raft.effects import SendMessage

COMMAND = bytes(64)
WARM_UP = 50
LEADER = 1


class Clocked:
    """A state machine that notes when it was last applied to."""

    def __init__(self) -> None:
        self.applied_ns = 0

    def apply(self, _index: int, _command: bytes) -> None:
        """Note the time."""
        self.applied_ns = time.perf_counter_ns()

    def snapshot(self) -> Iterable[bytes]:
        """There is no state."""
        return ()

    def restore(self, chunks: Iterator[bytes]) -> None:
        """Read nothing into it."""
        for _ in chunks:
            pass


class Group:
    """Nodes in this process. The leader is in the calling thread, each of the others in its own."""

    def __init__(self, directory: Path, voters: int) -> None:
        peers = [Peer(node_id, PeerRole.VOTER, "") for node_id in range(1, voters + 1)]
        self.machine = Clocked()
        self.nodes: dict[int, Node] = {}
        self._inboxes: dict[int, SimpleQueue[Message | None]] = {}
        self._threads = []
        self._unanswered = 0
        for peer in peers:
            path = directory / f"node{peer.id}"
            path.mkdir()
            config = Config(node_id=peer.id, random_seed=1, snapshot_threshold_entries=None)
            machine = self.machine if peer.id == LEADER else Clocked()
            self.nodes[peer.id] = Node(config, machine, path)
            self.nodes[peer.id].bootstrap(peers)
            self._inboxes[peer.id] = SimpleQueue()
        for peer in peers[1:]:
            self._threads.append(threading.Thread(target=self._follow, args=(peer.id,)))
            self._threads[-1].start()
        self.leader = self.nodes[LEADER]
        while not self.leader.is_leader:
            self.leader.tick()
            self.settle()

    def propose(self) -> int:
        """Propose one command; say how many nanoseconds later the leader had applied it."""
        self.machine.applied_ns = 0
        begin = time.perf_counter_ns()
        self.leader.propose(COMMAND)
        self._send()
        self.leader.sync()
        while not self.machine.applied_ns:
            self._receive()
        return self.machine.applied_ns - begin

    def settle(self) -> None:
        """Wait until every message is answered: then the others are at rest."""
        self._send()
        while self._unanswered:
            self._receive()

    def close(self) -> None:
        """Close all nodes."""
        for node_id in self._inboxes:
            self._inboxes[node_id].put(None)
        for thread in self._threads:
            thread.join()
        for node in self.nodes.values():
            node.close()

    def _send(self) -> None:
        for effect in self.leader.take_effects():
            if isinstance(effect, SendMessage):
                self._unanswered += 1
                self._inboxes[effect.receiver].put(effect.message)

    def _receive(self) -> None:
        message = self._inboxes[LEADER].get()
        assert message is not None
        self._unanswered -= 1
        self.leader.step(message)
        self._send()

    def _follow(self, node_id: int) -> None:
        node, inbox = self.nodes[node_id], self._inboxes[node_id]
        while (message := inbox.get()) is not None:
            node.step(message)
            for effect in node.take_effects():
                if isinstance(effect, SendMessage):
                    self._inboxes[effect.receiver].put(effect.message)


class BareFiles:
    """Files that are written and synced, the first by the caller, each other one by a thread."""

    def __init__(self, directory: Path, count: int) -> None:
        self._first, *others = (
            os.open(directory / f"bare{number}", os.O_WRONLY | os.O_CREAT)
            for number in range(count)
        )
        self._orders: dict[int, SimpleQueue[bool]] = {each: SimpleQueue() for each in others}
        self._done: SimpleQueue[int] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._obey, args=item) for item in self._orders.items()
        ]
        for thread in self._threads:
            thread.start()

    def write_one(self) -> int:
        """Append 64 bytes to one file and sync it; say how many nanoseconds that took."""
        begin = time.perf_counter_ns()
        _write(self._first)
        return time.perf_counter_ns() - begin

    def write_quorum(self) -> int:
        """Do so with all files at once; say how many nanoseconds until a majority was done."""
        begin = time.perf_counter_ns()
        for orders in self._orders.values():
            orders.put(True)
        _write(self._first)
        needed = (len(self._orders) + 1) // 2
        for _ in range(needed):
            self._done.get()
        elapsed_ns = time.perf_counter_ns() - begin
        for _ in range(len(self._orders) - needed):
            self._done.get()
        return elapsed_ns

    def close(self) -> None:
        """Close all files."""
        for orders in self._orders.values():
            orders.put(False)
        for thread in self._threads:
            thread.join()
        for descriptor in (self._first, *self._orders):
            os.close(descriptor)

    def _obey(self, descriptor: int, orders: SimpleQueue[bool]) -> None:
        while orders.get():
            _write(descriptor)
            self._done.put(descriptor)


def _write(descriptor: int) -> None:
    os.write(descriptor, COMMAND)
    os.fdatasync(descriptor)


def measure(parent: str, voters: int, count: int) -> dict[str, float]:
    """Measure the series in a directory of their own."""
    proposals, bare, bare_quorum = [], [], []
    with tempfile.TemporaryDirectory(dir=parent) as name:
        directory = Path(name)
        group = Group(directory, voters)
        files = BareFiles(directory, voters)
        for _ in range(count + WARM_UP):
            proposals.append(group.propose())
            group.settle()
            bare.append(files.write_one())
            bare_quorum.append(files.write_quorum())
        files.close()
        group.close()
    percentiles = statistics.quantiles(proposals[WARM_UP:], n=100)
    bare_p50 = statistics.median(bare[WARM_UP:])
    figures = {
        "propose_p50_us": percentiles[49] / 1000,
        "propose_p99_us": percentiles[98] / 1000,
        "bare_p50_us": bare_p50 / 1000,
        "ratio": percentiles[49] / bare_p50,
    }
    if voters > 1:
        quorum_p50 = statistics.median(bare_quorum[WARM_UP:])
        figures["bare_quorum_p50_us"] = quorum_p50 / 1000
        figures["bare_quorum_ratio"] = quorum_p50 / bare_p50
        figures["ratio_to_bare_quorum"] = percentiles[49] / quorum_p50
    return {key: round(value, 2) for key, value in figures.items()}


def main() -> None:
    """Measure on a disk and on a RAM disk."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    parser.add_argument("--disk", metavar="DIRECTORY", default=tempfile.gettempdir())
    parser.add_argument("--ram", metavar="DIRECTORY", default="/dev/shm")  # noqa: S108 the RAM disk is meant
    parser.add_argument("--voters", type=int, default=1, help="nodes, all in this process")
    parser.add_argument("--proposals", type=int, default=2000, metavar="N", help="in each series")
    arguments = parser.parse_args()
    figures = {
        name: measure(directory, arguments.voters, arguments.proposals)
        for name, directory in (("disk", arguments.disk), ("ram", arguments.ram))
    }
    for name, series in figures.items():
        print(name, *(f"{key}={value}" for key, value in series.items()))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
