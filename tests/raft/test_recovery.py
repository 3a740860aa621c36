"""Whatever a kill or a power cut leaves is recovered, with everything that was promised."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raft.errors import (
    DiskError,
)
from raft.filesystem import Filesystem, LocalFilesystem
from raft.node import Node
from tests.raft.disks import Disk, MemoryFilesystem, Operation, WatchedFilesystem
from tests.raft.journal import SELF, elect, kill, open_node


@dataclasses.dataclass
class Promises:
    """What a node has acknowledged, and what it had been asked for."""

    proposed: list[bytes] = dataclasses.field(default_factory=list)
    acknowledged: int = 0
    bootstrapped: bool = False
    term: int = 0
    voted_for: int | None = None

    def observe(self, node: Node) -> None:
        self.term, self.voted_for = node.current_term, node.voted_for

    def copy(self) -> "Promises":
        return dataclasses.replace(self, proposed=list(self.proposed))


def run_workload(filesystem: Filesystem, reopen: Callable[[], Filesystem], seen: Promises) -> None:
    """Three lives: bootstrap and proposals, a kill, batches and snapshots, a close, a few more."""
    node, _ = open_node(filesystem)
    node.bootstrap([SELF])
    seen.bootstrapped = True
    elect(node)
    seen.observe(node)
    for _ in range(3):
        propose(node, seen, 1)
    kill(node)
    node, _ = open_node(reopen())
    elect(node)
    seen.observe(node)
    for count in (1, 3, 1, 2, 4, 1):
        propose(node, seen, count)
    node.close()
    node, journal = open_node(reopen())
    elect(node)
    seen.observe(node)
    propose(node, seen, 1)
    assert journal.commands == seen.proposed
    kill(node)


def propose(node: Node, seen: Promises, count: int) -> None:
    commands = [b"command %d" % (len(seen.proposed) + n) for n in range(count)]
    seen.proposed += commands
    node.propose_many(commands)
    seen.acknowledged += count


@dataclasses.dataclass(frozen=True)
class Recording:
    """A run's operations; `promises` has what was promised before each, and at the end."""

    operations: list[Operation]
    promises: list[Promises]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Record the workload on the real filesystem."""
    directory = tmp_path_factory.mktemp("recorded")
    operations: list[Operation] = []
    promises: list[Promises] = []
    seen = Promises()

    def watch(operation: Operation) -> None:
        operations.append(operation)
        promises.append(seen.copy())

    def reopen() -> WatchedFilesystem:
        return WatchedFilesystem(LocalFilesystem(directory), watch)

    run_workload(reopen(), reopen, seen)
    promises.append(seen.copy())
    disk = Disk()
    for operation in operations:
        disk.perform(operation)
    assert disk.after_kill() == files_of(directory)
    return Recording(operations, promises)


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def kill_states(recording: Recording) -> Iterator[tuple[dict[str, bytes], Promises]]:
    """Every state that a kill may leave, cut at every byte of every write."""
    disk = Disk()
    for operation, promises in zip(recording.operations, recording.promises, strict=False):
        before = disk.after_kill()
        yield before, promises
        if operation.verb in ("append", "overwrite"):
            name, data = operation.name, operation.data
            for cut in range(1, len(data)):
                start = operation.number if operation.verb == "overwrite" else len(before[name])
                torn = before[name][:start] + data[:cut] + before[name][start + cut :]
                yield {**before, name: torn}, promises
        disk.perform(operation)
    yield disk.after_kill(), recording.promises[-1]


def power_states(recording: Recording) -> Iterator[tuple[dict[str, bytes], Promises]]:
    """After every operation, the state in which nothing survived but what was synced."""
    disk = Disk()
    for operation, promises in zip(recording.operations, recording.promises[1:], strict=True):
        disk.perform(operation)
        yield disk.after_power_cut(), promises


def check_recovery(files: dict[str, bytes], promises: Promises) -> None:
    """Recover, and hold what was found against what had been promised; go on from there."""
    disk = Disk.of(files)
    node, _ = open_node(MemoryFilesystem(disk))
    recovered = disk.after_power_cut()
    assert recovered == disk.after_kill(), "something recovered was not made durable"
    assert not [name for name in recovered if name.endswith(".tmp")]
    assert node.current_term >= promises.term
    if node.current_term == promises.term:
        assert node.voted_for == promises.voted_for
    if promises.bootstrapped:
        assert node.peers == (SELF,)

    node, journal = open_node(MemoryFilesystem(disk))
    assert node.recovery.tail == "clean"
    assert disk.after_kill() == recovered, "a second recovery found something to change"
    if not node.peers:
        node.bootstrap([SELF])
    term = node.current_term
    elect(node)
    assert (node.current_term, node.voted_for) == (term + 1, node.node_id)
    assert journal.commands == promises.proposed[: len(journal.commands)], "invented or reordered"
    assert len(journal.commands) >= promises.acknowledged, "lost"
    before = list(journal.commands)
    node.propose(b"another")
    assert journal.commands == [*before, b"another"]


def test_the_workload_has_what_it_takes(recording: Recording) -> None:
    verbs = [(operation.verb, operation.name) for operation in recording.operations]
    created = {name for verb, name in verbs if verb == "create" and name.endswith(".segment")}
    assert len(created) >= 5
    assert len([name for verb, name in verbs if verb == "unlink" and name in created]) >= 2
    assert verbs.count(("rename", "snapshot.tmp")) >= 2
    assert sum(len(operation.data) for operation in recording.operations) > 2000
    assert recording.promises[-1].acknowledged == 16


@pytest.mark.parametrize("share", range(4))
def test_every_kill_is_recovered_d07_d20_d25_d35_d40(recording: Recording, share: int) -> None:
    states = list(kill_states(recording))
    assert len(states) > 2000
    for files, promises in states[share::4]:
        check_recovery(files, promises)


def test_every_power_cut_is_recovered_d04_d05_d34(recording: Recording) -> None:
    for files, promises in power_states(recording):
        check_recovery(files, promises)


def test_a_second_crash_inside_recovery_loses_nothing_d46(recording: Recording) -> None:
    """At every operation of every recovery, once killed there and once cut off from power."""
    inner = 0
    for files, promises in list(kill_states(recording))[::7]:
        disk = Disk.of(files)
        states: list[dict[str, bytes]] = []

        def watch(_: Operation, disk: Disk = disk, states: list[dict[str, bytes]] = states) -> None:
            states.extend((disk.after_kill(), disk.after_power_cut()))

        node, _ = open_node(WatchedFilesystem(MemoryFilesystem(disk), watch))
        for state in states:
            check_recovery(state, promises)
            inner += 1
        assert node.recovery.tail in ("clean", "torn")
    assert inner > 500


def test_a_failure_at_any_operation_stops_the_node_and_loses_nothing_d16_d43(
    recording: Recording,
) -> None:
    """Half of a write lands, the operation fails: never believed, never tried again."""
    for count in range(len(recording.operations)):
        disk = Disk()
        seen = Promises()
        done: list[Operation] = []
        failed: list[Operation] = []

        def watch(
            operation: Operation,
            disk: Disk = disk,
            done: list[Operation] = done,
            failed: list[Operation] = failed,
            count: int = count,
        ) -> None:
            assert not failed, "the node went on after a failure, or tried again"
            if len(done) == count:
                failed.append(operation)
                if operation.verb == "append":
                    half = operation.data[: len(operation.data) // 2]
                    disk.perform(operation._replace(data=half))
                raise DiskError("no space left on device")
            done.append(operation)

        def reopen(
            disk: Disk = disk, watch: Callable[[Operation], None] = watch
        ) -> WatchedFilesystem:
            return WatchedFilesystem(MemoryFilesystem(disk), watch)

        with pytest.raises(DiskError):
            run_workload(reopen(), reopen, seen)
        check_recovery(disk.after_kill(), seen)


def test_what_a_kill_left_unsynced_is_durable_before_segments_are_removed_for_it(
    recording: Recording,
) -> None:
    """Else a power cut may keep the removals, and take the snapshot that stands for the rest."""
    removed = 0
    renames = [
        number
        for number, operation in enumerate(recording.operations, start=1)
        if operation.new_name == "snapshot"
    ]
    for number in renames:
        disk = Disk()
        for operation in recording.operations[:number]:
            disk.perform(operation)
        assert disk.synced.get("snapshot") is not disk.names["snapshot"]

        def watch(operation: Operation, disk: Disk = disk) -> None:
            nonlocal removed
            if operation.verb == "unlink" and operation.name.endswith(".segment"):
                removed += 1
                assert disk.synced["snapshot"] is disk.names["snapshot"]

        kill(open_node(WatchedFilesystem(MemoryFilesystem(disk), watch))[0])
    assert removed > 0


def test_real_files_are_recovered_as_those_in_memory(recording: Recording, tmp_path: Path) -> None:
    disk = Disk()
    for number, operation in enumerate(recording.operations):
        disk.perform(operation)
        if number % 5:
            continue
        files = disk.after_kill()
        directory = tmp_path / str(number)
        directory.mkdir()
        for name, data in files.items():
            (directory / name).write_bytes(data)
        in_memory = Disk.of(files)
        open_node(MemoryFilesystem(in_memory))
        node, _ = open_node(str(directory))
        kill(node)
        assert "metadata" not in files or files_of(directory) == in_memory.after_kill()
