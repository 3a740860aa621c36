"""The schedule of one run: which action comes next, drawn from the seed.

Each source of chance - network, workload, faults, rot, clocks - has a generator of its own, so that
a change in one does not shift the others.
"""

import random
from collections.abc import Iterator

from durability.simulation.action import (
    Action,
    AddLearner,
    Crash,
    Deliver,
    Propose,
    RemovePeer,
    Restart,
    Rot,
    TakeSnapshot,
    Tick,
    Transfer,
)
from durability.simulation.cluster import Cluster
from durability.simulation.network import Network, bridge, halves, one_way
from durability.simulation.options import Options
from durability.simulation.workload import Workload
from raft.snapshot import SNAPSHOT_NAME

_SETTLE_TIMEOUTS = 12  # for an election, with votes that are split
_COMMAND_TIMEOUTS = 4  # for one command more
_SNAPSHOTS_IN_A_ROW = 3
_TICKS_A_CHUNK = 2  # each is sent when the one before is answered
_OPERATIONS_MAX = (4, 16, 64)  # the last is more than a snapshot takes with what follows it


class Schedule:
    """Draws the actions of a cluster, tick after tick: faults, arrivals, clocks, clients."""

    def __init__(self, cluster: Cluster, options: Options, seed: int) -> None:
        self.tick = 0
        self._cluster = cluster
        self._options = options
        self._network = Network(options, seed)
        self._workload = Workload(options, seed)
        self._faults = random.Random(f"faults/{seed}")
        self._survivors = random.Random(f"survivors/{seed}")
        self._decay = random.Random(f"decay/{seed}")
        self._clocks = random.Random(f"clocks/{seed}")
        self._restart_ticks: dict[int, int] = {}
        self._heal_tick: int | None = None
        self._calm_tick = 0

    def draw(self) -> Iterator[Action]:
        """Draw actions for ever. Each must be performed before the next is drawn."""
        while True:
            self.tick += 1
            yield from self._draw_restarts()
            yield from self._draw_faults()
            yield from self._arrivals()
            yield from self._draw_ticks()
            yield from self._workload.draw(self._cluster)

    def draw_settlement(self) -> Iterator[Action]:
        """Draw actions without a fault: long enough for any group to agree, with a last command.

        How long that is follows from the nodes' timeouts, and from the snapshots that they have.
        """
        self._calm_tick = self.tick
        self._network.calm()
        for node_id, member in self._cluster.members.items():
            member.disk.interrupt_after(None)
            yield Restart(node_id)
        timeout_ticks = self._options.election_timeout_ticks_max
        yield from self._draw_calm(_SETTLE_TIMEOUTS * timeout_ticks)
        # What was on its way to a node, what its leader has by then, and what it has after that.
        for _ in range(_SNAPSHOTS_IN_A_ROW):
            yield from self._draw_calm(self._snapshot_ticks())
        leader = self._cluster.leader()
        if leader is not None:
            yield Propose(leader.node_id, self._workload.draw_command(self._cluster))
        yield from self._draw_calm(_COMMAND_TIMEOUTS * timeout_ticks)
        yield from self._draw_calm(self._snapshot_ticks())

    def settled(self) -> tuple[frozenset[int], int]:
        """Say which nodes must have agreed after a settlement, and how many ticks it took."""
        leader = self._cluster.leader()
        members = [peer.id for peer in leader.peers] if leader else self._cluster.running()
        return frozenset(members), self.tick - self._calm_tick

    def _draw_calm(self, ticks: int) -> Iterator[Action]:
        for _ in range(ticks):
            self.tick += 1
            yield from self._arrivals()
            for node_id in self._cluster.running():
                yield Tick(node_id)

    def _snapshot_ticks(self) -> int:
        """Say how long the largest snapshot that a node has takes to another on a calm network."""
        disks = [member.disk.written for member in self._cluster.members.values()]
        sizes = [len(disk[SNAPSHOT_NAME].written) for disk in disks if SNAPSHOT_NAME in disk]
        return _TICKS_A_CHUNK * (max(sizes, default=0) // self._options.snapshot_chunk_bytes + 1)

    def _arrivals(self) -> Iterator[Action]:
        while True:
            sent, self._cluster.sent = self._cluster.sent, []
            for way in sent:
                if not self._network.admit(self.tick, way):
                    del self._cluster.in_flight[way]
            arrival = self._network.take_due(self.tick)
            if arrival is None:
                return
            if self._network.is_cut(arrival.way):
                if not arrival.again:
                    del self._cluster.in_flight[arrival.way]
            else:
                yield Deliver(*arrival.way, again=arrival.again)

    def _draw_ticks(self) -> Iterator[Action]:
        running = self._cluster.running()
        self._clocks.shuffle(running)
        for node_id in running:
            if self._clocks.random() >= self._options.pause:
                yield Tick(node_id)

    def _draw_restarts(self) -> Iterator[Action]:
        for node_id, member in self._cluster.members.items():
            if member.node is None:
                # A crash inside a write is noticed here, whenever it was ordered.
                due = self._restart_ticks.setdefault(node_id, self.tick + self._draw_downtime())
                if due <= self.tick:
                    del self._restart_ticks[node_id]
                    if self._decay.random() < self._options.rot and self._cluster.can_spare(
                        node_id
                    ):
                        yield Rot(node_id, self._decay.getrandbits(32))
                    yield Restart(node_id)

    def _draw_downtime(self) -> int:
        return self._faults.randint(0, self._options.downtime_ticks_max)

    def _draw_faults(self) -> Iterator[Action]:
        options, draw = self._options, self._faults.random
        self._draw_partition()
        for node_id in self._cluster.running():
            # Who is to die soon is not told again: it would never get far.
            is_doomed = self._cluster.members[node_id].disk.is_doomed
            if draw() < options.crash_rate and not is_doomed:
                power_cut = draw() < options.power_cut
                operations = None
                if draw() < options.interrupted_write:
                    operations = self._faults.randrange(self._faults.choice(_OPERATIONS_MAX))
                survivors = self._survivors.getrandbits(32) if options.model else None
                yield Crash(node_id, power_cut, operations, survivors)
            if draw() < options.snapshot_rate:
                yield TakeSnapshot(node_id)
        leader = self._cluster.leader()
        if leader is None:
            return
        if draw() < options.transfer_rate:
            yield Transfer(leader.node_id, self._faults.choice([peer.id for peer in leader.peers]))
        if draw() < options.membership_rate:
            yield self._draw_change(leader.node_id, [peer.id for peer in leader.peers])

    def _draw_change(self, leader_id: int, member_ids: list[int]) -> Action:
        """Draw one change of the membership; a group neither dies out nor grows for ever."""
        others = [node_id for node_id in self._cluster.members if node_id not in member_ids]
        size = self._options.nodes
        if len(member_ids) <= max(1, size - 1) or (
            len(member_ids) <= size and self._faults.random() < 0.5
        ):
            return AddLearner(leader_id, others[0] if others else max(self._cluster.members) + 1)
        return RemovePeer(leader_id, self._faults.choice(member_ids))

    def _draw_partition(self) -> None:
        if self._heal_tick is not None:
            if self.tick < self._heal_tick:
                return
            self._heal_tick = None
            self._network.cut(())
        if self._faults.random() < self._options.partition_rate:
            nodes = list(self._cluster.members)
            self._faults.shuffle(nodes)
            leader = self._cluster.leader()
            victim = leader.node_id if leader and self._faults.random() < 0.5 else nodes[0]
            match self._faults.randrange(4):
                case 0:
                    self._network.cut(halves(nodes[: len(nodes) // 2], nodes))
                case 1:
                    self._network.cut(halves([victim], nodes))
                case 2:
                    self._network.cut(one_way(victim, nodes))
                case _:
                    self._network.cut(bridge(victim, nodes))
            self._heal_tick = self.tick + self._faults.randint(1, self._options.partition_ticks_max)
