from durability.invariants.events import Committed, Event, Started
from durability.simulation.action import Crash, Propose, Restart, Tick
from durability.simulation.cluster import Cluster
from durability.simulation.options import Options
from raft.sessions import encode_open

OPTIONS = Options(nodes=1, snapshot_threshold_entries=2, trailing_entries=0, max_segment_bytes=128)


def events_with_a_death_after(operations: int) -> list[Event]:
    """Let a node die in its disk operation after so many, and start again."""
    events: list[Event] = []
    cluster = Cluster(OPTIONS, 1, events.append)
    while cluster.leader() is None:
        cluster.perform(Tick(1))
    cluster.perform(Crash(1, operations=operations))
    while cluster.running():
        cluster.perform(Propose(1, encode_open()))
    cluster.perform(Restart(1))
    return events


def test_what_a_snapshot_stands_for_was_told_to_be_committed() -> None:
    """Also where the node died in the call in which it committed that and took the snapshot."""
    snapshots = set()
    for operations in range(60):
        events = events_with_a_death_after(operations)
        *_, started = (event for event in events if isinstance(event, Started))
        committed = max(
            (event.index for event in events if isinstance(event, Committed)), default=0
        )
        assert started.snapshot.index <= committed
        snapshots.add(started.snapshot.index)
    assert len(snapshots) > 2
