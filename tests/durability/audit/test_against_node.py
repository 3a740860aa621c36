"""The auditor and the node, two readers of one page, agree on what the node wrote.

The node's rules are in its own tests; here only the two answers are compared.
"""

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from durability.audit.directory import audit_directory, read_directory
from durability.audit.log_entry import EntryType
from raft import Config, Node, Peer, PeerRole
from raft.errors import StorageError
from raft.filesystem import LocalFilesystem
from raft.metadata import INCOMPLETE, Metadata

CONFIG = Config(
    node_id=1,
    group_id=7,
    max_segment_bytes=300,
    snapshot_threshold_entries=20,
    trailing_entries=0,  # what is in memory alone, an audit cannot see
    random_seed=1,
)
PEERS = (Peer(1, PeerRole.VOTER, "127.0.0.1:1"),)


class Journal:
    """A state machine that keeps every command, in a snapshot of several chunks."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []

    def apply(self, _index: int, command: bytes) -> None:
        self.commands.append(command)

    def snapshot(self) -> Iterable[bytes]:
        return [command + b"\n" for command in self.commands]

    def restore(self, chunks: Iterator[bytes]) -> None:
        self.commands = b"".join(chunks).splitlines()


class WatchedFilesystem(LocalFilesystem):
    """The real one, with a call after each change of a name and each sync of the directory."""

    def __init__(self, path: Path, watch: Callable[[], None]) -> None:
        super().__init__(path)
        self._watch = watch

    def rename(self, old: str, new: str) -> None:
        super().rename(old, new)
        self._watch()

    def unlink(self, name: str) -> None:
        super().unlink(name)
        self._watch()

    def sync(self) -> None:
        super().sync()
        self._watch()


def lead(node: Node) -> None:
    if not node.peers:
        node.bootstrap(PEERS)
    while not node.is_leader:
        node.tick()


def work(path: Path, count: int, check: Callable[[Node, Journal], None]) -> None:
    journal = Journal()
    with Node(CONFIG, journal, str(path)) as node:
        check(node, journal)
        lead(node)
        for number in range(count):
            node.propose(b"command %d" % (node.last_index * 1000 + number))
            check(node, journal)
        node.propose_many([b"one", b"two", b"three"])
        check(node, journal)


def assert_agreement(path: Path, node: Node, journal: Journal) -> None:
    """Compare everything that both say; what is applied is all of the log, with a single voter."""
    found = read_directory(str(path), recovered=True)
    audit = found.audit
    assert (audit.verdict, audit.violations, audit.tail) == ("held", [], "clean")
    assert (audit.node_id, audit.group_id) == (1, 7)
    assert (audit.term, audit.voted_for) == (node.current_term, node.voted_for)
    assert audit.last_index == node.last_index
    assert audit.snapshot_index == audit.commit_index == node.snapshot_index
    assert audit.first_index <= node.first_index
    assert [(peer.id, peer.address) for peer in audit.peers] == [
        (peer.id, peer.address) for peer in node.peers
    ]
    commands = found.snapshot.state.splitlines() if found.snapshot else []
    commands += [
        entry.payload
        for entry in found.entries
        if entry.type is EntryType.NORMAL and audit.snapshot_index < entry.index
    ]
    assert commands[: len(journal.commands)] == journal.commands
    if node.last_applied == node.last_index:
        assert commands == journal.commands


def test_they_agree_after_every_call_and_every_restart(tmp_path: Path) -> None:
    calls = segments = 0

    def check(node: Node, journal: Journal) -> None:
        nonlocal calls, segments
        calls += 1
        segments = max(segments, sum(name.endswith(".segment") for name in os.listdir(tmp_path)))
        assert_agreement(tmp_path, node, journal)

    for _ in range(3):
        work(tmp_path, 30, check)
    audit = audit_directory(str(tmp_path), recovered=True)
    assert calls == 3 * 32
    assert audit.snapshot_index > 60
    assert audit.durable_index == audit.last_index
    assert segments >= 3


def test_no_step_of_a_change_breaks_a_guarantee(tmp_path: Path) -> None:
    seen: set[str] = set()
    acknowledged = 0

    def watch() -> None:
        audit = audit_directory(str(tmp_path))
        assert audit.violations == []
        assert audit.last_index >= acknowledged
        seen.update(note.split(": ")[-1].split(" at ")[0] for note in audit.notes)

    journal = Journal()
    with Node(CONFIG, journal, WatchedFilesystem(tmp_path, watch)) as node:
        lead(node)
        for number in range(50):
            acknowledged = node.propose(b"command %d" % number)
    assert any(note.startswith("the snapshot") for note in seen)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a snapshot and several segments, whose node never got to close it."""
    path = tmp_path_factory.mktemp("live")
    crashed = tmp_path_factory.mktemp("copy") / "crashed"
    with Node(CONFIG, Journal(), str(path)) as node:
        lead(node)
        for number in range(24):
            node.propose(b"command %d" % number)
        shutil.copytree(path, crashed)
    return crashed


def assert_same_answer(path: Path) -> str:
    """What the one refuses the other calls a violation; what both take is the same."""
    audit = audit_directory(str(path))
    try:
        node = Node(CONFIG, Journal(), str(path))
    except StorageError:
        assert audit.verdict == "violation"
        return "refused"
    with node:
        assert audit.violations == []
        assert audit.tail == node.recovery.tail
        assert audit.last_index == node.last_index
        assert audit.snapshot_index == node.snapshot_index
        assert (audit.term, audit.voted_for) == (node.current_term, node.voted_for)
        assert audit_directory(str(path), recovered=True).violations == []
    return audit.tail


def damaged(crashed: Path, path: Path, name: str, data: bytes) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(crashed, path)
    (path / name).write_bytes(data)
    return path


def test_they_agree_on_every_truncation(tmp_path: Path, crashed: Path) -> None:
    answers = set()
    for name in sorted(os.listdir(crashed)):
        data = (crashed / name).read_bytes()
        for size in range(0, len(data), 1 if name == max(os.listdir(crashed)) else 3):
            answers.add(assert_same_answer(damaged(crashed, tmp_path / "d", name, data[:size])))
    assert answers >= {"refused", "torn"}


@pytest.mark.parametrize("mask", [0x01, 0xFF])
def test_they_agree_on_every_flipped_byte(tmp_path: Path, crashed: Path, mask: int) -> None:
    answers = set()
    for name in sorted(os.listdir(crashed)):
        data = (crashed / name).read_bytes()
        for offset in range(len(data)):
            flipped = data[:offset] + bytes([data[offset] ^ mask]) + data[offset + 1 :]
            answers.add(assert_same_answer(damaged(crashed, tmp_path / "d", name, flipped)))
    assert answers >= {"refused", "ambiguous"}


def test_they_agree_on_every_missing_file(tmp_path: Path, crashed: Path) -> None:
    for name in sorted(os.listdir(crashed)):
        path = damaged(crashed, tmp_path / "d", name, b"")
        (path / name).unlink()
        assert_same_answer(path)


def test_a_log_that_the_node_has_marked_incomplete_is_no_corruption(tmp_path: Path) -> None:
    with Node(CONFIG, Journal(), tmp_path) as node:
        node.bootstrap(PEERS)
    metadata = Metadata.read(LocalFilesystem(tmp_path))
    dataclasses.replace(metadata, durable_index=INCOMPLETE).write(LocalFilesystem(tmp_path))
    found = audit_directory(str(tmp_path), recovered=True)
    assert (found.verdict, found.violations, found.last_index) == ("held", [], 1)
    assert "incomplete" in found.notes[0]
    # One less would be an index that the log does not reach.
    dataclasses.replace(metadata, durable_index=INCOMPLETE - 1).write(LocalFilesystem(tmp_path))
    assert audit_directory(str(tmp_path)).verdict == "violation"
