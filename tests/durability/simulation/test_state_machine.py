"""Hypothesis drives a cluster with every property watching, and shrinks what breaks."""

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from durability.simulation.action import (
    AddLearner,
    Crash,
    Deliver,
    Propose,
    Read,
    RemovePeer,
    Restart,
    TakeSnapshot,
    Tick,
    Transfer,
)
from durability.simulation.options import Options
from durability.simulation.run import Judged
from raft.replication import Replication
from raft.sessions import encode_open

OPTIONS = Options(
    election_timeout_ticks_min=2,
    election_timeout_ticks_max=4,
    snapshot_threshold_entries=4,
    trailing_entries=1,
    max_append_entries_bytes=1,
    snapshot_chunk_bytes=64,
    max_segment_bytes=128,
)
NODES = st.integers(1, 4)


class ClusterMachine(RuleBasedStateMachine):
    """Messages are delivered in any order, twice, or never; nodes crash at any disk operation."""

    def __init__(self) -> None:
        super().__init__()
        self.judged = Judged(OPTIONS, 1)
        self.cluster = self.judged.cluster

    @rule(node=NODES, count=st.integers(1, 5))
    def tick(self, node: int, count: int) -> None:
        for _ in range(count):
            self.judged.perform(Tick(node))

    @precondition(lambda self: self.cluster.in_flight)
    @rule(data=st.data(), again=st.booleans())
    def deliver(self, data: st.DataObject, again: bool) -> None:
        ways = list(self.cluster.in_flight)
        way = ways[data.draw(st.integers(0, len(ways) - 1))]
        self.judged.perform(Deliver(*way, again=again))

    @precondition(lambda self: self.cluster.in_flight)
    @rule(count=st.integers(1, 20))
    def deliver_in_order(self, count: int) -> None:
        for _ in range(min(count, len(self.cluster.in_flight))):
            self.judged.perform(Deliver(*next(iter(self.cluster.in_flight))))

    @rule()
    def lose_everything(self) -> None:
        self.cluster.in_flight.clear()

    @rule(node=NODES)
    def propose(self, node: int) -> None:
        self.judged.perform(Propose(node, encode_open()))

    @rule(node=NODES)
    def read(self, node: int) -> None:
        self.judged.perform(Read(node))

    @rule(node=NODES)
    def take_snapshot(self, node: int) -> None:
        self.judged.perform(TakeSnapshot(node))

    @rule(node=NODES, other=NODES)
    def transfer(self, node: int, other: int) -> None:
        self.judged.perform(Transfer(node, other))

    @rule(node=NODES, other=NODES)
    def add(self, node: int, other: int) -> None:
        self.judged.perform(AddLearner(node, other))

    @rule(node=NODES, other=NODES)
    def remove(self, node: int, other: int) -> None:
        self.judged.perform(RemovePeer(node, other))

    @rule(
        node=NODES,
        power_cut=st.booleans(),
        operations=st.none() | st.integers(0, 8),
        survivors=st.none() | st.integers(0, 100),
    )
    def crash(
        self, node: int, power_cut: bool, operations: int | None, survivors: int | None
    ) -> None:
        self.judged.perform(Crash(node, power_cut, operations, survivors))

    @rule(node=NODES)
    def restart(self, node: int) -> None:
        self.judged.perform(Restart(node))

    @invariant()
    def every_property_holds(self) -> None:
        result = self.judged.result()
        assert result.violations == []


ClusterMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestCluster = ClusterMachine.TestCase


def test_a_planted_defect_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The leader counts itself alone: to break anything it takes an election."""
    monkeypatch.setattr(Replication, "quorum_index", lambda self, _: self._durable_index)
    quick = settings(
        max_examples=300,
        stateful_step_count=60,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        derandomize=True,
    )
    with pytest.raises(AssertionError, match="P10"):
        run_state_machine_as_test(ClusterMachine, settings=quick)
