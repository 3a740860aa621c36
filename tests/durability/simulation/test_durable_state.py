"""What the observer is told to be durable is what the node recovers after a power cut."""

from hypothesis import given, settings
from hypothesis import strategies as st

from durability.simulation.disk import Content, Disk, SimulatedFilesystem
from durability.simulation.durable_state import DurableState
from durability.simulation.witness import Witness
from raft.config import Config
from raft.filesystem import File
from raft.log_entry import LogEntry
from raft.metadata import METADATA_NAME
from raft.node import Node
from raft.peer import Peer, PeerRole
from raft.sessions import encode_open
from raft.storage import Storage

CONFIG = Config(
    node_id=1,
    max_segment_bytes=150,
    snapshot_threshold_entries=None,
    random_seed=1,
    election_timeout_ticks_min=2,
    election_timeout_ticks_max=2,
)


def followed(state: DurableState) -> list[LogEntry]:
    """Rebuild the log from the changes alone."""
    log: list[LogEntry] = []
    for change in state.take_changes():
        if change.is_truncated:
            log = [entry for entry in log if entry.index <= change.kept_index]
        log += change.appended
    return [entry for entry in log if entry.index > state.snapshot_index]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(["propose", "snapshot", "kill", "power cut"]), max_size=25))
def test_it_is_what_a_power_cut_leaves(actions: list[str]) -> None:
    disk = Disk()
    state = DurableState(disk)
    node = Node(CONFIG, Witness(), SimulatedFilesystem(disk))
    node.bootstrap([Peer(1, PeerRole.VOTER, "")])
    for action in actions:
        match action:
            case "propose":
                while not node.is_leader:
                    node.tick()
                node.propose(encode_open())
            case "snapshot":
                node.take_snapshot()
            case _:
                if action == "kill":
                    disk.kill()
                else:
                    disk.cut_power()
                    state.look()
                node = Node(CONFIG, Witness(), SimulatedFilesystem(disk))
        assert state.metadata is not None
        assert (state.metadata.current_term, state.metadata.voted_for) == (
            node.current_term,
            node.voted_for,
        )
        assert state.snapshot_index == node.snapshot_index
        # A few entries are kept below a snapshot; what stands above it is the log.
        above = range(node.snapshot_index + 1, node.last_index + 1)
        assert state.entries == [node.entry(index) for index in above]
    assert followed(state) == state.entries


def test_a_truncation_and_what_replaces_it_are_seen_in_order() -> None:
    disk = Disk()
    state = DurableState(disk)
    storage = Storage(SimulatedFilesystem(disk), CONFIG)
    storage.save_term(3, None)
    first = [LogEntry(1, index, data=b"old") for index in range(1, 9)]
    second = [LogEntry(3, index, data=b"new") for index in range(4, 9)]
    storage.append(first)
    state.take_changes()
    storage.truncate_after(3)
    storage.append(second)
    changes = state.take_changes()
    assert [change.kept_index for change in changes if change.is_truncated][-1] == 3
    assert [entry for change in changes for entry in change.appended] == second
    assert state.entries == first[:3] + second


def test_what_is_written_and_not_synced_is_not_durable() -> None:
    disk = Disk()
    state = DurableState(disk)
    storage = Storage(SimulatedFilesystem(disk), CONFIG)
    storage.save_term(1, None)
    storage.append([LogEntry(1, 1)])
    forget_syncs(storage)
    storage.append([LogEntry(1, 2)])
    assert state.entries == [LogEntry(1, 1)]


def test_a_log_ends_where_it_was_torn_though_a_later_segment_is_there() -> None:
    disk = Disk()
    state = DurableState(disk)
    storage = Storage(SimulatedFilesystem(disk), CONFIG)
    storage.save_term(1, None)
    storage.append([LogEntry(1, index, data=b"data") for index in range(1, 4)])
    storage.append([LogEntry(1, 4)])
    first, last = sorted(name for name in disk.synced if name.endswith(".segment"))
    torn = disk.synced[first]
    torn.synced = torn.synced[:-1]
    torn.generation += 1
    state.look()
    assert [entry.index for entry in state.entries] == [1, 2]
    disk.synced = {name: file for name, file in disk.synced.items() if name != last}
    state.look()
    assert [entry.index for entry in state.entries] == [1, 2]


def test_without_the_metadata_nothing_is_there() -> None:
    disk = Disk()
    state = DurableState(disk)
    storage = Storage(SimulatedFilesystem(disk), CONFIG)
    storage.save_term(1, None)
    storage.append([LogEntry(1, 1)])
    disk.synced = disk.synced | {METADATA_NAME: Content(bytearray(69), bytes(69))}
    state.look()
    assert (state.metadata, state.snapshot, state.entries) == (None, None, [])
    assert state.known_durable() == []


def forget_syncs(storage: Storage) -> None:
    file: File | None = storage.log._file
    assert file is not None
    file.sync_data = lambda: None  # type: ignore[method-assign]  # a defect is planted
