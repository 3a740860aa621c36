"""Directories of raft.cr become ours, whatever interrupts it; later formats are left alone."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from durability.audit.directory import read_directory
from raft.config import Config
from raft.errors import (
    CorruptionError,
    DirectoryLockedError,
    UnsupportedFormatError,
    WrongDirectoryError,
)
from raft.log_entry import LogEntry
from raft.node import Node
from raft.peer import Peer
from raft.upgrade import upgrade
from tests.raft.disks import Disk, MemoryFilesystem, Operation, WatchedFilesystem

DATA = Path(__file__).parents[1] / "data" / "raftcr"
WHOLE = ("dir1_segments", "dir2_snapshot", "dir3_cluster_n1", "dir5_cluster_n3_installed")


class State:
    """A state machine that keeps a snapshot's bytes, and what was applied, as they are."""

    def __init__(self) -> None:
        self.restored = b""
        self.applied: list[bytes] = []

    def apply(self, _index: int, command: bytes) -> None:
        self.applied.append(command)

    def snapshot(self) -> list[bytes]:
        return [self.restored]

    def restore(self, chunks: Iterator[bytes]) -> None:
        self.restored = b"".join(chunks)


def config(name: str) -> Config:
    node_id = 3 if name == "dir5_cluster_n3_installed" else 1
    return Config(node_id=node_id, group_id=7, random_seed=5, max_segment_bytes=300)


def files(name: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (DATA / name).iterdir()}


@dataclass
class Held:
    """All that an upgraded directory holds."""

    term_and_vote: tuple[int, int | None]
    peers: tuple[Peer, ...]
    snapshot_index: int
    state: bytes
    entries: list[LogEntry]


def opened(name: str, disk: Disk) -> Held:
    state = State()
    node = Node(config(name), state, MemoryFilesystem(disk))
    assert node.recovery.tail == "clean"
    return Held(
        (node.current_term, node.voted_for),
        node.peers,
        node.snapshot_index,
        state.restored,
        [node.entry(index) for index in range(node.snapshot_index + 1, node.last_index + 1)],
    )


@pytest.mark.parametrize("name", WHOLE)
def test_it_holds_what_it_held(name: str, tmp_path: Path) -> None:
    before = read_directory(str(DATA / name))
    disk = Disk.of(files(name))
    assert upgrade(config(name), MemoryFilesystem(disk))
    assert disk.after_kill() == disk.after_power_cut()
    assert {each.rpartition(".")[2] for each in disk.names} <= {"metadata", "snapshot", "segment"}
    held, audit = opened(name, disk), before.audit
    assert held.term_and_vote == (audit.term, audit.voted_for)
    assert [(peer.id, peer.role.name.lower(), peer.address) for peer in held.peers] == [
        (peer.id, peer.role, peer.address) for peer in audit.peers
    ]
    assert [(each.index, each.term, each.type.value, each.data) for each in held.entries] == [
        (each.index, each.term, each.type.value, each.payload)
        for each in before.entries
        if each.index > audit.snapshot_index
    ]
    assert held.snapshot_index == audit.snapshot_index
    assert held.state == (before.snapshot.state if before.snapshot else b"")
    for each, data in disk.after_kill().items():
        (tmp_path / each).write_bytes(data)
    assert read_directory(str(tmp_path)).audit.violations == []
    assert not upgrade(config(name), MemoryFilesystem(disk))


@pytest.mark.parametrize("name", ["dir1_segments", "dir2_snapshot"])
def test_a_crash_at_any_operation_leaves_what_can_be_upgraded_again(name: str) -> None:
    """By kill or power cut, in the middle of a write too; and again inside of the second try."""
    disk = Disk.of(files(name))
    assert upgrade(config(name), MemoryFilesystem(disk))
    expected = opened(name, disk)
    states = crash_states(name, files(name))
    assert len(states) > 20
    for state in states:
        if "raft_meta" in state:
            untouched = Disk.of(state)
            with pytest.raises(UnsupportedFormatError, match=r"call raft\.upgrade\.upgrade"):
                Node(config(name), State(), MemoryFilesystem(untouched))
            assert untouched.after_kill() == state
    for state in [*states, *crash_states(name, states[len(states) // 2])]:
        disk = Disk.of(state)
        # Another process draws other numbers: the directory's id must be the one begun with.
        upgrade(dataclasses.replace(config(name), random_seed=6), MemoryFilesystem(disk))
        assert opened(name, disk) == expected


def crash_states(name: str, before: dict[str, bytes]) -> list[dict[str, bytes]]:
    disk = Disk.of(before)
    states: list[dict[str, bytes]] = []

    def watch(operation: Operation) -> None:
        states.extend((disk.after_kill(), disk.after_power_cut()))
        if operation.verb == "append":
            torn = disk.after_kill()
            torn[operation.name] += operation.data[: len(operation.data) // 2]
            states.append(torn)

    upgrade(config(name), WatchedFilesystem(MemoryFilesystem(disk), watch))
    return [*states, disk.after_kill()]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("raft_meta", "cannot be read"),
        ("snapshot", "cannot be read"),
        ("0000000000000043.log", "50.log follows entry 45"),
        ("0000000000000050.log", "ends at 49, and entry 55 was committed"),
    ],
)
def test_what_cannot_be_read_is_refused_and_left_as_it_is(name: str, reason: str) -> None:
    damaged = files("dir2_snapshot")
    if name.endswith(".log"):
        del damaged[name]
    else:
        damaged[name] = damaged[name][:19]
    refuse("dir2_snapshot", damaged, reason)


def test_an_entry_out_of_its_place_is_refused() -> None:
    damaged = files("dir2_snapshot")
    damaged["0000000000000050.log"] += LogEntry(2, 57).encode()
    refuse("dir2_snapshot", damaged, "entry 56: entry 57 is in its place")
    damaged["0000000000000050.log"] = LogEntry(3, 50).encode()
    refuse("dir2_snapshot", damaged, "of term 3, after 2, in term 2")


def test_a_file_that_ends_in_a_record_before_another_file_is_refused() -> None:
    damaged = files("dir2_snapshot")
    damaged["0000000000000043.log"] = damaged["0000000000000043.log"][:-1]
    refuse("dir2_snapshot", damaged, "50.log follows entry 48")


def test_a_torn_record_at_the_end_is_dropped_unless_it_was_committed() -> None:
    name = "dir7_torn_tail"
    refuse(name, files(name), "the log ends at 40, and entry 41 was committed")
    torn = files("dir2_snapshot")
    torn["0000000000000050.log"] += LogEntry(2, 56).encode()[:-1]
    disk = Disk.of(torn)
    assert upgrade(config("dir2_snapshot"), MemoryFilesystem(disk))
    plain = Disk.of(files("dir2_snapshot"))
    assert upgrade(config("dir2_snapshot"), MemoryFilesystem(plain))
    assert opened("dir2_snapshot", disk) == opened("dir2_snapshot", plain)


def refuse(name: str, damaged: dict[str, bytes], reason: str) -> None:
    disk = Disk.of(damaged)
    with pytest.raises(CorruptionError, match=reason):
        upgrade(config(name), MemoryFilesystem(disk))
    assert disk.after_kill() == damaged


def test_a_file_that_the_snapshot_stands_for_may_have_come_back() -> None:
    name = "dir2_snapshot"
    disk = Disk.of({**files(name), "0000000000000001.log": LogEntry(1, 1).encode()})
    upgrade(config(name), MemoryFilesystem(disk))
    plain = Disk.of(files(name))
    upgrade(config(name), MemoryFilesystem(plain))
    assert opened(name, disk) == opened(name, plain)


def test_the_group_must_know_the_node() -> None:
    disk = Disk.of(files("dir3_cluster_n1"))
    stranger = dataclasses.replace(config("dir3_cluster_n1"), node_id=9)
    with pytest.raises(WrongDirectoryError, match="node 9 is no member"):
        upgrade(stranger, MemoryFilesystem(disk))
    assert disk.after_kill() == files("dir3_cluster_n1")


def test_a_directory_in_use_is_left_alone(tmp_path: Path) -> None:
    with Node(config(""), State(), tmp_path), pytest.raises(DirectoryLockedError):
        upgrade(config(""), tmp_path)
    assert not upgrade(config(""), tmp_path)


@pytest.mark.parametrize("kind", ["metadata", "snapshot", ".segment"])
@pytest.mark.parametrize("offset", [8, 12])
def test_a_later_version_or_feature_is_refused_with_nothing_changed(kind: str, offset: int) -> None:
    """Whoever goes back to an older program finds its directory as the newer one left it."""
    name = "dir2_snapshot"
    disk = Disk.of(files(name))
    upgrade(config(name), MemoryFilesystem(disk))
    later = {**disk.after_kill(), "metadata.tmp": b"of a later day"}
    (first, *_) = sorted(each for each in later if each.endswith(kind))
    data = bytearray(later[first])
    data[offset] ^= 0x80
    later[first] = bytes(data)
    disk = Disk.of(later)
    with pytest.raises(UnsupportedFormatError, match=first):
        Node(config(name), State(), MemoryFilesystem(disk))
    assert disk.after_kill() == later
