import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from raft.config import Config
from raft.effects import Applied, ConfigurationChanged, RoleChanged, SendMessage
from raft.election import Role
from raft.errors import (
    AlreadyBootstrappedError,
    CommandTooLargeError,
    ConfigError,
    DirectoryLockedError,
    NotLeaderError,
    WrongDirectoryError,
)
from raft.log_entry import EntryType
from raft.member import DropReason
from raft.message import Message, MessageType
from raft.node import Node
from raft.peer import Peer, PeerRole
from tests.raft.disks import Disk, MemoryFilesystem, Operation, WatchedFilesystem
from tests.raft.journal import CONFIG, QUIET, SELF, Journal, elect, leader, open_node

OPEN_AND_WAIT = """
import sys
from raft.node import Node
from tests.raft.journal import CONFIG, Journal
Node(CONFIG, Journal(), sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def request(kind: MessageType, **fields: int) -> Message:
    defaults = {"group_id": 7, "sender": 9, "term": 99, "last_log_index": 99, "last_log_term": 99}
    values = {**defaults, **fields}
    return Message(type=kind, **values)  # type: ignore[arg-type]  # every field here is an int


def test_a_fresh_node_waits_for_a_configuration() -> None:
    node, _ = open_node(MemoryFilesystem(Disk()))
    for _ in range(100):
        node.tick()
    assert (node.role, node.current_term, node.voted_for) == (Role.FOLLOWER, 0, None)
    assert (node.first_index, node.last_index, node.commit_index, node.last_applied) == (1, 0, 0, 0)
    assert (node.peers, node.leader_id, node.take_effects()) == ((), None, [])
    with pytest.raises(NotLeaderError):
        node.propose(b"x")


def test_bootstrap_works_once_and_on_an_empty_node_only() -> None:
    disk = Disk()
    node, _ = open_node(MemoryFilesystem(disk))
    node.bootstrap([SELF])
    assert node.peers == (SELF,)
    with pytest.raises(AlreadyBootstrappedError):
        node.bootstrap([SELF])
    for files in (disk.after_kill(), disk.after_power_cut()):
        again, _ = open_node(MemoryFilesystem(Disk.of(files)))
        assert again.peers == (SELF,)
        with pytest.raises(AlreadyBootstrappedError):
            again.bootstrap([SELF])
        elect(again)


@pytest.mark.parametrize(
    ("peers", "reason"),
    [
        ([], "must list node 3"),
        ([Peer(4, PeerRole.VOTER, "")], "must list node 3"),
        ([SELF, SELF], "each node once"),
        ([SELF, Peer(0, PeerRole.VOTER, "")], "each node once"),
        ([Peer(3, PeerRole.LEARNER, "")], "at least one voter"),
    ],
)
def test_a_first_configuration_that_makes_no_sense_is_refused_and_changes_nothing(
    peers: list[Peer], reason: str
) -> None:
    disk = Disk()
    node, _ = open_node(MemoryFilesystem(disk))
    before = disk.after_kill()
    with pytest.raises(ConfigError, match=reason):
        node.bootstrap(peers)
    assert disk.after_kill() == before
    node.bootstrap([SELF])


def test_the_effects_of_a_first_life_are_in_order() -> None:
    node, _ = leader(Disk())
    assert node.propose(b"a") == 3
    assert node.propose_many([b"b", b"c"]) == range(4, 6)
    assert node.take_effects() == [
        ConfigurationChanged(1, (SELF,), committed=False),
        RoleChanged(Role.CANDIDATE, 2),
        RoleChanged(Role.LEADER, 2),
        ConfigurationChanged(1, (SELF,), committed=True),
        Applied(3, 2, 1),
        Applied(4, 2, 2),
        Applied(5, 2, 3),
    ]
    assert node.take_effects() == []
    assert (node.commit_index, node.last_applied, node.last_index, node.durable_index) == (5,) * 4
    assert (node.leader_id, node.is_leader, node.voted_for) == (3, True, 3)


def test_nothing_comes_out_before_it_is_durable_d27() -> None:
    """At every operation, each effect so far stands on what a power cut would leave."""
    disk = Disk()
    nodes: list[Node] = []
    checked: set[type] = set()

    def watch(_: Operation) -> None:
        if not nodes:
            return
        durable, journal = open_node(MemoryFilesystem(Disk.of(disk.after_power_cut())), QUIET)
        assert nodes[0].current_term <= durable.current_term
        if nodes[0].current_term == durable.current_term:
            assert nodes[0].voted_for == durable.voted_for
        assert nodes[0].durable_index <= durable.last_index
        for effect in nodes[0]._replica.effects:
            checked.add(type(effect))
            if isinstance(effect, RoleChanged):
                assert effect.term <= durable.current_term
            elif isinstance(effect, SendMessage):
                assert effect.message.term <= durable.current_term
            else:
                assert isinstance(effect, Applied | ConfigurationChanged)
                assert effect.index <= durable.last_index
        assert journal.commands == []

    node, _ = open_node(WatchedFilesystem(MemoryFilesystem(disk), watch), QUIET)
    nodes.append(node)
    node.bootstrap([SELF])
    node.step(request(MessageType.REQUEST_VOTE))
    elect(node)
    for n in range(9):
        node.step(request(MessageType.PRE_VOTE))
        node.propose_many([b"%d" % n] * (n % 3 + 1))
    assert checked == {RoleChanged, Applied, SendMessage, ConfigurationChanged}


def test_a_single_voter_elects_itself_after_every_restart_d17() -> None:
    disk = Disk()
    for life in range(4):
        node, journal = leader(disk)
        assert (node.current_term, node.voted_for) == (life + 2, 3)
        assert journal.commands == [b"%d" % n for n in range(life)]
        node.propose(b"%d" % life)
        assert [type(effect) for effect in node.take_effects()] == [
            *[ConfigurationChanged] * (life == 0),
            RoleChanged,
            RoleChanged,
            ConfigurationChanged,
            *[Applied] * (life + 1),
        ]


def test_entries_of_earlier_terms_are_not_applied_before_one_of_the_own_term_is_there() -> None:
    disk = Disk()
    node, _ = leader(disk)
    node.propose(b"a")
    again, journal = open_node(MemoryFilesystem(disk), QUIET)
    assert (again.commit_index, journal.commands, again.last_index) == (0, [], 3)
    elect(again)
    assert (again.commit_index, journal.commands, again.last_index) == (4, [b"a"], 4)
    assert again._storage.log.entry(4).type is EntryType.NOOP


def test_a_batch_shares_one_write_and_one_sync_and_an_empty_one_has_none() -> None:
    disk = Disk()
    operations: list[Operation] = []
    config = dataclasses.replace(QUIET, max_segment_bytes=10_000)
    node, _ = open_node(WatchedFilesystem(MemoryFilesystem(disk), operations.append), config)
    node.bootstrap([SELF])
    elect(node)
    del operations[:]
    node.propose_many([b"a", b"b", b"c"])
    assert [operation.verb for operation in operations] == ["append", "sync"]
    del operations[:]
    assert node.propose_many([]) == range(6, 6)
    assert operations == []


def test_a_command_that_no_message_could_carry_is_refused_with_its_batch() -> None:
    config = dataclasses.replace(
        QUIET,
        max_message_payload_bytes=121,
        max_append_entries_bytes=121,
        snapshot_chunk_bytes=121,
    )
    node, journal = leader(Disk(), config)
    with pytest.raises(CommandTooLargeError, match="101 bytes; 100 are permitted"):
        node.propose_many([b"a", bytes(101)])
    assert (node.last_index, journal.commands) == (2, [])
    node.propose(bytes(100))


def test_snapshots_are_taken_at_the_threshold_and_entries_are_applied_once_across_them_d33() -> (
    None
):
    disk = Disk()
    expected: list[bytes] = []
    for life in range(5):
        node, journal = leader(disk, CONFIG)
        restored = len(journal.commands) - len(journal.indexes)
        assert (restored > 0) == (life > 0)
        for n in range(7):
            expected.append(b"%d/%d" % (life, n))
            node.propose(expected[-1])
        assert journal.commands == expected
        assert journal.indexes == sorted(set(journal.indexes))
        assert node.last_applied - node.snapshot_index < 8
        assert node.first_index == node.snapshot_index + 1
    assert node.snapshot_index > 30
    assert len(disk.names) <= 5


def test_a_snapshot_by_hand_compacts_the_log_and_says_its_index() -> None:
    disk = Disk()
    node, _ = leader(disk)
    for n in range(20):
        node.propose(b"%d" % n)
    assert (node.snapshot_index, node.first_index) == (0, 1)
    assert node.take_snapshot() == 22
    assert (node.snapshot_index, node.first_index, node.last_index) == (22, 23, 22)
    before = disk.after_kill()
    assert node.take_snapshot() == 22
    assert disk.after_kill() == before
    again, journal = open_node(MemoryFilesystem(disk), QUIET)
    assert journal.commands == [b"%d" % n for n in range(20)]
    assert (again.commit_index, again.last_applied, again.peers) == (22, 22, (SELF,))
    with pytest.raises(AlreadyBootstrappedError):
        again.bootstrap([SELF])


def test_a_snapshot_of_nothing_is_not_taken() -> None:
    disk = Disk()
    node, _ = open_node(MemoryFilesystem(disk))
    assert node.take_snapshot() == 0
    assert list(disk.names) == ["metadata"]


@pytest.mark.parametrize("kind", MessageType)
def test_a_message_of_another_group_changes_nothing(kind: MessageType) -> None:
    disk = Disk()
    node, _ = leader(disk)
    node.take_effects()
    before = disk.after_kill()
    node.step(request(kind, group_id=8))
    assert (node.take_effects(), disk.after_kill()) == ([], before)
    assert (node.is_leader, node.current_term, node.last_index) == (True, 2, 2)
    assert node.dropped_messages == {DropReason.OTHER_GROUP: 1}


@pytest.mark.parametrize(
    "kind", sorted(set(MessageType) - {MessageType.APPEND_ENTRIES, MessageType.INSTALL_SNAPSHOT})
)
@pytest.mark.parametrize("bootstrapped", [True, False])
def test_a_node_that_is_no_member_does_not_disturb_the_term(
    kind: MessageType, *, bootstrapped: bool
) -> None:
    """But for what a leader sends: who has been away may not know it as a member yet."""
    disk = Disk()
    if bootstrapped:
        node, _ = leader(disk)
        node.take_effects()
    else:
        node, _ = open_node(MemoryFilesystem(disk))
    before = disk.after_kill()
    term, role = node.current_term, node.role
    node.step(request(kind))
    assert (disk.after_kill(), node.current_term, node.role) == (before, term, role)
    refusals = {
        MessageType.REQUEST_VOTE: MessageType.REQUEST_VOTE_RESPONSE,
        MessageType.PRE_VOTE: MessageType.PRE_VOTE_RESPONSE,
    }
    if kind in refusals:
        refusal = Message(group_id=7, type=refusals[kind], sender=3, term=term, success=False)
        assert node.take_effects() == [SendMessage(9, refusal)]
        assert node.dropped_messages == {}
    else:
        assert node.take_effects() == []
        assert node.dropped_messages == {DropReason.NOT_A_MEMBER: 1}


@pytest.mark.parametrize("kind", MessageType)
def test_a_message_from_itself_is_dropped(kind: MessageType) -> None:
    node, _ = leader(Disk())
    node.take_effects()
    node.step(request(kind, sender=3))
    assert node.take_effects() == []
    assert node.dropped_messages == {DropReason.FROM_ITSELF: 1}


def test_elections_are_reproducible_from_the_seed() -> None:
    def ticks_to_lead(seed: int | None) -> list[int]:
        config = Config(
            node_id=3,
            random_seed=seed,
            election_timeout_ticks_min=10,
            election_timeout_ticks_max=1000,
        )
        disk = Disk()
        counts = []
        for _ in range(4):
            node, _ = open_node(MemoryFilesystem(disk), config)
            if not node.peers:
                node.bootstrap([SELF])
            count = 0
            while not node.is_leader:
                node.tick()
                count += 1
            counts.append(count)
        assert all(10 <= count <= 1000 for count in counts)
        return counts

    assert ticks_to_lead(1) == ticks_to_lead(1) != ticks_to_lead(2)
    assert ticks_to_lead(None) != ticks_to_lead(None)


def test_a_commit_writes_no_metadata() -> None:
    disk = Disk()
    node, _ = leader(disk)
    metadata = bytes(disk.names["metadata"].written)
    for n in range(5):
        node.propose(b"%d" % n)
    assert node.commit_index == 7
    assert bytes(disk.names["metadata"].written) == metadata


def test_a_second_process_is_refused_d47(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN_AND_WAIT, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(DirectoryLockedError):
            open_node(str(tmp_path))
        process.kill()
    with Node(CONFIG, Journal(), tmp_path) as node:
        node.bootstrap([SELF])
        elect(node)
        with pytest.raises(DirectoryLockedError):
            open_node(str(tmp_path))
    with pytest.raises(WrongDirectoryError):
        Node(dataclasses.replace(CONFIG, group_id=8), Journal(), tmp_path)
    with Node(CONFIG, Journal(), tmp_path) as node:
        assert node.peers == (SELF,)
