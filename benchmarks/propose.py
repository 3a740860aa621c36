"""How long a proposal takes, against a bare write and fdatasync on the same disk.

One proposal at a time, from the call to `apply` returned, with a command of 64 bytes; the bare
series appends 64 bytes to a file and syncs it. The two alternate, so that whatever else the machine
does meets both. With `--voters 3` the three nodes are in this process, and the proposal is timed
until the leader has applied it: two more syncs, one after the other, and the messages between.

    python benchmarks/propose.py --json propose.json
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from raft import Config, Node, Peer, PeerRole
from raft.effects import SendMessage

COMMAND = bytes(64)
WARM_UP = 50


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
    """Nodes in this process, the first of which leads."""

    def __init__(self, directory: Path, voters: int) -> None:
        peers = [Peer(node_id, PeerRole.VOTER, "") for node_id in range(1, voters + 1)]
        self.machine = Clocked()
        self.nodes: dict[int, Node] = {}
        for peer in peers:
            path = directory / f"node{peer.id}"
            path.mkdir()
            config = Config(node_id=peer.id, random_seed=1, snapshot_threshold_entries=None)
            machine = self.machine if peer.id == 1 else Clocked()
            self.nodes[peer.id] = Node(config, machine, path)
            self.nodes[peer.id].bootstrap(peers)
        while not self.nodes[1].is_leader:
            self.nodes[1].tick()
            self.settle()

    def settle(self) -> None:
        """Deliver messages until there are none."""
        busy = True
        while busy:
            busy = False
            for node in self.nodes.values():
                for effect in node.take_effects():
                    if isinstance(effect, SendMessage):
                        self.nodes[effect.receiver].step(effect.message)
                        busy = True

    def propose(self) -> int:
        """Propose one command; say how many nanoseconds later the leader had applied it."""
        begin = time.perf_counter_ns()
        self.nodes[1].propose(COMMAND)
        if len(self.nodes) > 1:
            self.settle()
        return self.machine.applied_ns - begin

    def close(self) -> None:
        """Close all nodes."""
        for node in self.nodes.values():
            node.close()


def write_bare(descriptor: int) -> int:
    """Append 64 bytes and sync them; say how many nanoseconds that took."""
    begin = time.perf_counter_ns()
    os.write(descriptor, COMMAND)
    os.fdatasync(descriptor)
    return time.perf_counter_ns() - begin


def measure(parent: str, voters: int, count: int) -> dict[str, float]:
    """Measure both series in a directory of their own."""
    with tempfile.TemporaryDirectory(dir=parent) as name:
        directory = Path(name)
        group = Group(directory, voters)
        bare_file = os.open(directory / "bare", os.O_WRONLY | os.O_CREAT)
        proposals, bare = [], []
        for _ in range(count + WARM_UP):
            proposals.append(group.propose())
            group.nodes[1].take_effects()
            bare.append(write_bare(bare_file))
        os.close(bare_file)
        group.close()
    percentiles = statistics.quantiles(proposals[WARM_UP:], n=100)
    bare_p50 = statistics.median(bare[WARM_UP:])
    return {
        "propose_p50_us": round(percentiles[49] / 1000, 2),
        "propose_p99_us": round(percentiles[98] / 1000, 2),
        "bare_p50_us": round(bare_p50 / 1000, 2),
        "ratio": round(percentiles[49] / bare_p50, 2),
    }


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
