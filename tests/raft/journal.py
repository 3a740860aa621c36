"""A state machine that remembers every command, and what a node under test is made of."""

import dataclasses
import struct
from collections.abc import Callable, Iterable, Iterator

from raft.config import Config
from raft.filesystem import Filesystem
from raft.node import Node
from raft.peer import Peer, PeerRole
from tests.raft.disks import Disk, MemoryFilesystem

CONFIG = Config(
    node_id=3,
    group_id=7,
    max_segment_bytes=200,
    snapshot_threshold_entries=8,
    trailing_entries=0,
    random_seed=5,
    election_timeout_ticks_min=2,
    election_timeout_ticks_max=3,
)
QUIET = dataclasses.replace(CONFIG, snapshot_threshold_entries=None)
SELF = Peer(3, PeerRole.VOTER, "127.0.0.1:9003")

_SIZE = struct.Struct("<I")


class Journal:
    """The commands in the order applied, each with its index in `indexes` if applied here.

    `on_apply` is told each index, `on_restore` that another state was taken over.
    """

    def __init__(self) -> None:
        self.commands: list[bytes] = []
        self.indexes: list[int] = []
        self.on_apply: Callable[[int], None] = lambda _: None
        self.on_restore: Callable[[], None] = lambda: None

    def apply(self, index: int, command: bytes) -> int:
        self.commands.append(command)
        self.indexes.append(index)
        self.on_apply(index)
        return len(self.commands)

    def snapshot(self) -> Iterable[bytes]:
        for command in self.commands:
            yield _SIZE.pack(len(command))
            yield command

    def restore(self, chunks: Iterator[bytes]) -> None:
        data = b"".join(chunks)
        self.commands = []
        offset = 0
        while offset < len(data):
            (size,) = _SIZE.unpack_from(data, offset)
            offset += _SIZE.size
            self.commands.append(data[offset : offset + size])
            offset += size
        self.on_restore()


def open_node(filesystem: Filesystem | str, config: Config = CONFIG) -> tuple[Node, Journal]:
    journal = Journal()
    return Node(config, journal, filesystem), journal


def elect(node: Node) -> None:
    for _ in range(CONFIG.election_timeout_ticks_max):
        if not node.is_leader:
            node.tick()
    assert node.is_leader


def leader(disk: Disk, config: Config = QUIET) -> tuple[Node, Journal]:
    """Open a node that leads, bootstrapped if need be."""
    node, journal = open_node(MemoryFilesystem(disk), config)
    if not node.peers:
        node.bootstrap([SELF])
    elect(node)
    return node, journal


def kill(node: Node) -> None:
    """Let go of the directory as a killed process does: nothing is written."""
    node._storage.close()
