"""What a transfer costs: memory of a few chunks, and no file that stays open."""

import dataclasses
import os
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest

from raft.config import Config
from raft.effects import SendMessage
from raft.message import Message, MessageType
from raft.node import Node
from raft.replication import Progress
from tests.raft.cluster import peer
from tests.raft.journal import Journal
from tests.raft.snapshots_on_their_way import (
    behind,
    chunks,
)


def test_a_node_that_is_closed_in_the_middle_of_a_transfer_keeps_no_file_open(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    before = os.listdir("/proc/self/fd")
    cluster = behind()
    first = chunks(cluster)[:2]
    directory = tmp_path_factory.mktemp("receiver")
    receiver = Node(dataclasses.replace(cluster.config, node_id=3), Journal(), directory)
    for envelope in first:
        receiver.step(envelope.message)
    assert "snapshot.tmp" in os.listdir(directory)
    receiver.close()
    assert os.listdir("/proc/self/fd") == before
    directory = tmp_path_factory.mktemp("sender")
    config = dataclasses.replace(cluster.config, node_id=1, snapshot_chunk_bytes=1)
    sender = Node(config, Journal(), directory)
    sender.bootstrap([peer(1)])
    for _ in range(20):
        sender.tick()
    sender.propose(bytes(100))
    sender.take_snapshot()
    sender.add_peer(peer(2))
    answer = Message(7, MessageType.APPEND_ENTRIES_RESPONSE, 2, sender.current_term)
    sender.step(answer)
    assert MessageType.INSTALL_SNAPSHOT in [
        effect.message.type for effect in sender.take_effects() if isinstance(effect, SendMessage)
    ]
    sender.close()
    assert os.listdir("/proc/self/fd") == before


class Large:
    """A state of `count` mebibytes, of which it never has two in memory."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.restored = 0

    def apply(self, _index: int, _command: bytes) -> None:
        pass

    def snapshot(self) -> Iterable[bytes]:
        for number in range(self.count):
            yield bytes([number]) * 2**20

    def restore(self, chunks: Iterator[bytes]) -> None:
        self.restored = sum(len(chunk) for chunk in chunks)


def test_a_transfer_takes_the_memory_of_a_few_chunks(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    config = Config(node_id=1, group_id=7, random_seed=5, trailing_entries=0)
    peers = [peer(1), peer(2)]
    nodes = {}
    machines = {1: Large(24), 2: Large(0)}
    for node_id, machine in machines.items():
        directory = tmp_path_factory.mktemp(f"node{node_id}")
        node = Node(dataclasses.replace(config, node_id=node_id), machine, directory)
        nodes[node_id] = node
    nodes[1].bootstrap(peers)

    def settle() -> None:
        moved = True
        while moved:
            moved = False
            for node in nodes.values():
                for effect in node.take_effects():
                    if isinstance(effect, SendMessage):
                        nodes[effect.receiver].step(effect.message)
                        moved = True

    nodes[2].bootstrap(peers)
    for _ in range(100):
        nodes[1].tick()
        settle()
    assert nodes[1].is_leader
    nodes[2].close()
    nodes[1].take_snapshot()
    nodes[1].take_effects()
    fresh = tmp_path_factory.mktemp("fresh")
    nodes[2] = Node(dataclasses.replace(config, node_id=2), machines[2], fresh)
    tracemalloc.start()
    try:
        leader = nodes[1]._member.leader
        assert leader is not None
        leader.replication.peers[2] = Progress(1)
        for _ in range(10):
            nodes[1].tick()
            settle()
        assert machines[2].restored == 24 * 2**20
        assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
    finally:
        tracemalloc.stop()
        for node in nodes.values():
            node.close()
