"""Nothing that reveals a term, a vote or an entry is there to be sent before it is durable.

The nodes of a group are watched at every operation on their disks: each message that a node would
send must stand on what a power cut at that very moment would leave of its disk.
"""

import dataclasses

from raft.effects import SendMessage
from raft.filesystem import Filesystem
from raft.message import Message, MessageType
from raft.metadata import Metadata
from raft.node import Node
from tests.raft.cluster import Cluster, peer
from tests.raft.disks import Disk, MemoryFilesystem, WatchedFilesystem
from tests.raft.journal import Journal


class WatchedCluster(Cluster):
    """Checks each message of each node at each operation, and once more when it is handed out."""

    def __init__(self, voters: int = 3, learners: int = 0, **settings: object) -> None:
        self.checked: set[MessageType] = set()
        super().__init__(voters, learners, **settings)

    def filesystem(self, node_id: int, disk: Disk) -> Filesystem:
        return WatchedFilesystem(MemoryFilesystem(disk), lambda _: self.check(node_id))

    def collect(self, node_id: int) -> None:
        self.check(node_id)
        super().collect(node_id)

    def check(self, node_id: int) -> None:
        node = self.nodes.get(node_id)
        if node is None:
            return
        if not any(isinstance(effect, SendMessage) for effect in node._replica.effects):
            return
        durable = Disk.of(self.disks[node_id].after_power_cut())
        config = dataclasses.replace(self.config, node_id=node_id)
        metadata = Metadata.read(MemoryFilesystem(durable))
        last_index = Node(config, Journal(), MemoryFilesystem(durable)).last_index
        for effect in node._replica.effects:
            if isinstance(effect, SendMessage):
                self.checked.add(effect.message.type)
                check_message(effect.receiver, effect.message, metadata, last_index)


def check_message(receiver: int, message: Message, metadata: Metadata, last_index: int) -> None:
    """Check what the message reveals against what is durable at its sender."""
    kind = message.type
    if kind not in (MessageType.PRE_VOTE, MessageType.PRE_VOTE_RESPONSE):
        assert message.term <= metadata.current_term
    is_latest = message.term == metadata.current_term
    if kind is MessageType.REQUEST_VOTE and is_latest:
        assert metadata.voted_for == message.sender
    if kind is MessageType.REQUEST_VOTE_RESPONSE and message.success and is_latest:
        assert metadata.voted_for == receiver
    if kind in (MessageType.REQUEST_VOTE, MessageType.PRE_VOTE) and is_latest:
        assert message.last_log_index <= last_index
    if kind is MessageType.APPEND_ENTRIES_RESPONSE and message.success:
        assert message.last_log_index <= last_index
    if kind is MessageType.APPEND_ENTRIES and message.entries_count:
        assert message.commit_index <= last_index


def test_d26_d27_d28_whatever_a_group_does() -> None:
    cluster = WatchedCluster(max_segment_bytes=300, snapshot_chunk_bytes=50)
    cluster.elect(1)
    cluster.propose(b"a", b"b")
    cluster.kill(3)
    cluster.propose(*[b"%d" % n for n in range(5)])
    cluster.leader.take_snapshot()
    cluster.start(3)
    cluster.catch_up()
    cluster.leader.transfer_leadership(3)
    cluster.settle()
    cluster.start(4)
    cluster.leader.add_peer(peer(4))
    cluster.catch_up()
    cluster.isolate(3)
    cluster.nodes[3].propose(b"lost")
    cluster.settle()
    cluster.elect(2)
    cluster.propose(b"c")
    cluster.heal()
    cluster.catch_up()
    cluster.agree_on([b"a", b"b", *[b"%d" % n for n in range(5)], b"c"])
    assert cluster.checked == set(MessageType)
