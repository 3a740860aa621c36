"""A node that stops: by a failure, which it survives with nothing lost, or closed."""

from collections.abc import Iterable, Iterator

import pytest

from raft.effects import Applied
from raft.errors import DiskError, StoppedError
from raft.message import Message, MessageType
from raft.metadata import Metadata
from raft.node import Node
from tests.raft.disks import Disk, MemoryFilesystem, Operation, WatchedFilesystem
from tests.raft.journal import QUIET, SELF, Journal, elect, kill, leader, open_node


class Fragile(Journal):
    """Fails at one command, and in a snapshot if told to."""

    def apply(self, index: int, command: bytes) -> int:
        if command == b"poison":
            raise RuntimeError("cannot apply")
        return super().apply(index, command)


def test_a_state_machine_that_fails_stops_the_node() -> None:
    disk = Disk()
    node, _ = leader(disk)
    kill(node)
    machine = Fragile()
    node = Node(QUIET, machine, MemoryFilesystem(disk))
    elect(node)
    with pytest.raises(RuntimeError, match="cannot apply"):
        node.propose_many([b"a", b"poison", b"c"])
    assert machine.commands == [b"a"]
    for attempt in (node.tick, node.take_snapshot, lambda: node.propose(b"x")):
        with pytest.raises(StoppedError):
            attempt()
    with pytest.raises(StoppedError):
        node.step(Message(7, MessageType.REQUEST_VOTE, 9, 99))
    with pytest.raises(StoppedError):
        node.bootstrap([SELF])
    assert [type(effect) for effect in node.take_effects()][-1] is Applied
    before = disk.after_kill()
    node.close()
    assert disk.after_kill() == before, "a stopped node has nothing more to write"


def test_a_state_machine_that_cannot_restore_leaves_the_directory_unlocked() -> None:
    class Unrestorable(Journal):
        def restore(self, chunks: Iterator[bytes]) -> None:
            raise RuntimeError(next(chunks))

    disk = Disk()
    node, _ = leader(disk)
    node.propose(b"a")
    node.take_snapshot()
    filesystem = MemoryFilesystem(disk)
    with pytest.raises(RuntimeError):
        Node(QUIET, Unrestorable(), filesystem)
    assert not filesystem.locked


def test_a_snapshot_that_fails_halfway_leaves_the_old_one() -> None:
    class Unsnapshotable(Journal):
        def snapshot(self) -> Iterable[bytes]:
            yield b"half"
            raise RuntimeError("no more")

    disk = Disk()
    node, _ = leader(disk)
    node.propose(b"a")
    node.take_snapshot()
    kill(node)
    node = Node(QUIET, Unsnapshotable(), MemoryFilesystem(disk))
    elect(node)
    node.propose(b"b")
    with pytest.raises(RuntimeError, match="no more"):
        node.take_snapshot()
    with pytest.raises(StoppedError):
        node.propose(b"c")
    node.close()
    assert "snapshot.tmp" in disk.names
    again, journal = leader(disk)
    assert "snapshot.tmp" not in disk.names
    assert (again.snapshot_index, journal.commands) == (3, [b"a", b"b"])


def test_closing_pins_the_last_batch_and_stops() -> None:
    disk = Disk()
    node, _ = leader(disk)
    node.propose(b"a")
    assert Metadata.read(MemoryFilesystem(disk)).durable_index == 1
    node.close()
    assert Metadata.read(MemoryFilesystem(Disk.of(disk.after_power_cut()))).durable_index == 3
    before = disk.after_kill()
    node.close()
    assert disk.after_kill() == before
    with pytest.raises(StoppedError):
        node.tick()


def test_a_close_that_fails_still_releases_the_directory() -> None:
    disk = Disk()
    broken: list[bool] = []

    def watch(_: Operation) -> None:
        if broken:
            raise DiskError("no space left on device")

    inner = MemoryFilesystem(disk)
    node, _ = open_node(WatchedFilesystem(inner, watch), QUIET)
    node.bootstrap([SELF])
    broken.append(True)
    with pytest.raises(DiskError):
        node.close()
    assert not inner.locked
    assert leader(disk)[0].peers == (SELF,)
