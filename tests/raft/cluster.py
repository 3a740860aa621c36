"""A few nodes on disks in memory, and the messages between them in the test's hand."""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable

from raft.config import Config
from raft.effects import Effect, ReadAborted, ReadReady, SendMessage
from raft.filesystem import Filesystem
from raft.message import Message, MessageType
from raft.node import Node
from raft.peer import Peer, PeerRole
from tests.raft.disks import Disk, MemoryFilesystem
from tests.raft.journal import Journal
from tests.raft.watch import Watch, WatchedNode

BASE = Config(
    node_id=1,
    group_id=7,
    random_seed=5,
    election_timeout_ticks_min=10,
    election_timeout_ticks_max=20,
    heartbeat_interval_ticks=2,
    snapshot_threshold_entries=None,
    trailing_entries=0,
)


@dataclasses.dataclass(frozen=True)
class Envelope:
    sender: int
    receiver: int
    message: Message


class Cluster:
    """Nodes 1 to `voters` vote, those after them learn. Nothing moves but by the methods.

    The invariants watch all that the nodes do (`tests.raft.watch`).
    """

    def __init__(self, voters: int = 3, learners: int = 0, **settings: object) -> None:
        self.config = dataclasses.replace(BASE, **settings)  # type: ignore[arg-type]  # any field
        self.watch = Watch(self.config)
        self.disks: dict[int, Disk] = {}
        self.nodes: dict[int, Node] = {}
        self.journals: dict[int, Journal] = {}
        self.effects: dict[int, list[Effect]] = {}
        self.network: deque[Envelope] = deque()
        self.sent: list[Envelope] = []
        self.cut: set[tuple[int, int]] = set()
        self.intercept: Callable[[Envelope], bool] = lambda _: True
        roles = [PeerRole.VOTER] * voters + [PeerRole.LEARNER] * learners
        self.peers = tuple(peer(number, role) for number, role in enumerate(roles, 1))
        for member in self.peers:
            self.start(member.id)
            self.nodes[member.id].bootstrap(self.peers)
            self.collect(member.id)

    # Nodes.

    def start(self, node_id: int) -> Node:
        """Open a node on its disk, a fresh one if it has none."""
        disk = self.disks.setdefault(node_id, Disk())
        self.journals[node_id] = Journal()
        self.effects.setdefault(node_id, [])
        config = dataclasses.replace(self.config, node_id=node_id)
        self._end(node_id)
        filesystem = self.filesystem(node_id, disk)
        node = self.watch.open(config, self.journals[node_id], disk, filesystem)
        self.nodes[node_id] = node
        return node

    def filesystem(self, _node_id: int, disk: Disk) -> Filesystem:
        """What a node sees of its disk."""
        return MemoryFilesystem(disk)

    def kill(self, node_id: int) -> None:
        """What it has written stays; what is on its way to it is lost."""
        self._end(node_id)

    def cut_power(self, node_id: int) -> None:
        """Only what it has synced stays."""
        self.disks[node_id].cut_power()
        self._end(node_id, is_power_cut=True)

    def _end(self, node_id: int, *, is_power_cut: bool = False) -> None:
        if self.nodes.pop(node_id, None) is not None:
            self.watch.stop(node_id, is_power_cut=is_power_cut)
            self.network = deque(one for one in self.network if one.receiver != node_id)

    def restart(self, node_id: int) -> Node:
        if node_id in self.nodes:
            self.kill(node_id)
        return self.start(node_id)

    def leaders(self) -> list[int]:
        return [node_id for node_id, node in self.nodes.items() if node.is_leader]

    @property
    def leader(self) -> Node:
        """The leader of the latest term."""
        leaders = [node for node in self.nodes.values() if node.is_leader]
        return max(leaders, key=lambda node: node.current_term)

    # The network.

    def collect(self, node_id: int) -> None:
        """Do what a node's effects say."""
        effects = self.nodes[node_id].take_effects()
        self.effects[node_id] += effects
        for effect in effects:
            if isinstance(effect, SendMessage):
                envelope = Envelope(node_id, effect.receiver, effect.message)
                assert effect.message.sender == node_id
                assert Message.decode(effect.message.encode()) == effect.message
                self.sent.append(envelope)
                self.network.append(envelope)

    def deliver(self, envelope: Envelope) -> None:
        """Deliver one message, whether it is in the network or not."""
        node = self.nodes.get(envelope.receiver)
        if node is not None:
            node.step(envelope.message)
            self.collect(envelope.receiver)

    def settle(self, limit: int = 10_000) -> None:
        """Deliver what is on its way, and what follows from it, but for what is cut off."""
        for node_id in self.nodes:
            self.collect(node_id)
        while self.network:
            envelope = self.network.popleft()
            if (envelope.sender, envelope.receiver) not in self.cut and self.intercept(envelope):
                self.deliver(envelope)
            limit -= 1
            assert limit > 0, "the nodes do not come to rest"

    def settle_one(self, node_id: int) -> None:
        """Deliver what is on its way to one node, and what it answers."""
        for envelope in [one for one in self.network if one.receiver == node_id]:
            self.network.remove(envelope)
            self.deliver(envelope)
        for envelope in [one for one in self.network if one.sender == node_id]:
            self.network.remove(envelope)
            self.deliver(envelope)

    def take(self, kind: MessageType, receiver: int | None = None) -> list[Envelope]:
        """Take messages out of the network, to be delivered later, more than once, or never."""
        taken = [
            one
            for one in self.network
            if one.message.type is kind and receiver in (None, one.receiver)
        ]
        self.network = deque(one for one in self.network if one not in taken)
        return taken

    def isolate(self, *node_ids: int) -> None:
        """Cut these off from the others, not from each other."""
        others = self.disks.keys() - set(node_ids)
        self.cut |= {(a, b) for a in node_ids for b in others}
        self.cut |= {(a, b) for a in others for b in node_ids}

    def heal(self) -> None:
        self.cut.clear()

    # Time, and what is asked.

    def tick(self, *node_ids: int, times: int = 1) -> None:
        """Let ticks pass on these nodes, or on all, and all messages arrive after each."""
        for _ in range(times):
            for node_id in node_ids or tuple(self.nodes):
                self.nodes[node_id].tick()
            self.settle()

    def elect(self, node_id: int) -> Node:
        """Let time pass on one node until it leads; the others hear no leader meanwhile."""
        for other in self.nodes.values():
            if other.node_id != node_id and not other.is_leader:
                self.forget_leader(other.node_id)
        node = self.nodes[node_id]
        for _ in range(3 * self.config.election_timeout_ticks_max):
            if not node.is_leader:
                self.tick(node_id)
        assert node.is_leader, (node.role, node.dropped_messages)
        self.settle()
        return node

    def forget_leader(self, node_id: int) -> None:
        """Let so much time pass on a node that it takes the leader for lost."""
        node = self.nodes[node_id]
        assert isinstance(node, WatchedNode)
        node.forget_leader(self.config.election_timeout_ticks_min)

    def propose(self, *commands: bytes) -> None:
        for command in commands:
            self.leader.propose(command)
        self.settle()

    def catch_up(self) -> None:
        """Let heartbeats pass on the leader until everyone has had time to answer."""
        self.tick(self.leader.node_id, times=4 * self.config.heartbeat_interval_ticks)

    def reads(self, node_id: int) -> list[ReadReady | ReadAborted]:
        effects = self.effects[node_id]
        return [effect for effect in effects if isinstance(effect, ReadReady | ReadAborted)]

    def agree_on(self, commands: Iterable[bytes], *node_ids: int) -> None:
        """Check that these nodes, or all, have applied exactly these commands."""
        expected = list(commands)
        for node_id in node_ids or tuple(self.nodes):
            assert self.journals[node_id].commands == expected, node_id


def peer(node_id: int, role: PeerRole = PeerRole.VOTER) -> Peer:
    return Peer(node_id, role, f"node-{node_id}:900{node_id}")
