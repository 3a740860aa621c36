"""The leader's disk and the others' work at the same time: a proposal is sent, then synced."""

import dataclasses
from collections import defaultdict

import pytest

from raft.effects import Applied, SendMessage
from raft.errors import DiskError
from raft.message import MessageType
from raft.metadata import Metadata
from raft.node import Node
from raft.segment import HEADER_BYTES, segment_name
from tests.raft.cluster import Cluster
from tests.raft.disks import Disk, MemoryFilesystem, Operation, WatchedFilesystem
from tests.raft.journal import Journal


class CountedCluster(Cluster):
    """Notes the operations on each node's disk; those named in `failing` fail."""

    def __init__(self, voters: int = 3, learners: int = 0, **settings: object) -> None:
        self.operations: dict[int, list[Operation]] = defaultdict(list)
        self.failing: set[tuple[int, str]] = set()
        super().__init__(voters, learners, **settings)

    def start(self, node_id: int) -> Node:
        def watch(operation: Operation) -> None:
            if (node_id, operation.verb) in self.failing:
                raise DiskError(f"cannot {operation.verb}")
            self.operations[node_id].append(operation)

        super().start(node_id)
        filesystem = WatchedFilesystem(MemoryFilesystem(self.disks[node_id]), watch)
        config = dataclasses.replace(self.config, node_id=node_id)
        self.journals[node_id] = Journal()
        self.nodes[node_id] = Node(config, self.journals[node_id], filesystem)
        return self.nodes[node_id]

    def take_verbs(self, node_id: int) -> list[str]:
        verbs = [operation.verb for operation in self.operations[node_id]]
        del self.operations[node_id][:]
        return verbs


def led_cluster(**settings: object) -> CountedCluster:
    """Node 1 leads, and nothing is on its way."""
    cluster = CountedCluster(**settings)  # type: ignore[arg-type]  # any field
    cluster.elect(1)
    cluster.catch_up()
    cluster.operations.clear()
    return cluster


def test_a_proposal_is_sent_before_the_leader_has_synced_it() -> None:
    cluster = led_cluster()
    node = cluster.nodes[1]
    index = node.propose(b"a")
    assert cluster.take_verbs(1) == ["append"]
    assert (node.last_index, node.durable_index, node.match_index(1)) == (
        index,
        index - 1,
        index - 1,
    )
    effects = node.take_effects()
    assert [type(effect) for effect in effects] == [SendMessage] * 2
    node.sync()
    assert cluster.take_verbs(1) == ["sync"]
    assert (node.durable_index, node.match_index(1)) == (index, index)
    assert node.take_effects() == []
    node.sync()
    assert cluster.take_verbs(1) == []


def test_a_voter_writes_and_syncs_once_for_a_proposal_and_not_at_all_for_its_commit() -> None:
    cluster = led_cluster()
    cluster.propose(b"a")
    cluster.agree_on([b"a"])
    for node_id in (1, 2, 3):
        assert cluster.take_verbs(node_id) == ["append", "sync"]


def test_what_is_proposed_in_the_meantime_shares_a_sync() -> None:
    cluster = led_cluster()
    for command in (b"a", b"b", b"c"):
        cluster.nodes[1].propose(command)
    assert cluster.take_verbs(1) == ["append"] * 3
    cluster.settle()
    assert cluster.take_verbs(1) == ["sync"]
    cluster.agree_on([b"a", b"b", b"c"])


def test_records_say_what_was_durable_when_they_were_written() -> None:
    cluster = led_cluster()
    for command in (b"a", b"b"):
        cluster.nodes[1].propose(command)
    data = cluster.disks[1].after_kill()[segment_name(1)]
    durable = cluster.nodes[1].durable_index
    size = 37 + 1
    claims = [data[start + 8 : start + 16] for start in (len(data) - 2 * size, len(data) - size)]
    assert len(data) > HEADER_BYTES + 2 * size
    assert claims == [durable.to_bytes(8, "little")] * 2


def test_the_leader_does_not_count_itself_before_it_has_synced() -> None:
    """An answer that comes first makes it sync: the commit stands on two disks."""
    cluster = led_cluster()
    node = cluster.nodes[1]
    index = node.propose(b"a")
    cluster.collect(1)
    (append,) = cluster.take(MessageType.APPEND_ENTRIES, receiver=2)
    cluster.deliver(append)
    cluster.failing.add((1, "sync"))
    (answer,) = cluster.take(MessageType.APPEND_ENTRIES_RESPONSE, receiver=1)
    with pytest.raises(DiskError):
        node.step(answer.message)
    assert (node.commit_index, node.durable_index) == (index - 1, index - 1)
    assert not [effect for effect in node.take_effects() if isinstance(effect, Applied)]


@pytest.mark.parametrize("call", ["tick", "step", "sync", "close"])
def test_whatever_happens_next_finds_all_of_it_durable(call: str) -> None:
    cluster = led_cluster()
    node = cluster.nodes[1]
    index = node.propose(b"a")
    match call:
        case "step":
            node.step(cluster.sent[-1].message)
        case _:
            getattr(node, call)()
    durable = Disk.of(cluster.disks[1].after_power_cut())
    again = Node(node._config, Journal(), MemoryFilesystem(durable))
    assert again.last_index == index
    assert (Metadata.read(MemoryFilesystem(durable)).durable_index == index) == (call == "close")


@pytest.mark.parametrize("reached", [(), (2,), (2, 3)])
def test_a_leader_that_loses_what_it_has_sent_goes_on_with_the_others(
    reached: tuple[int, ...],
) -> None:
    """Whether the entry survives is decided by who has stored it, as with any lost leader."""
    cluster = led_cluster()
    index = cluster.nodes[1].propose(b"a")
    term = cluster.nodes[1].current_term
    cluster.collect(1)
    for envelope in cluster.take(MessageType.APPEND_ENTRIES):
        if envelope.receiver in reached:
            cluster.deliver(envelope)
    cluster.cut_power(1)
    node = cluster.start(1)
    assert (node.last_index, node.current_term) == (index - 1, term)
    cluster.network.clear()
    cluster.elect(2)
    cluster.propose(b"b")
    cluster.catch_up()
    cluster.agree_on([b"a", b"b"] if 2 in reached else [b"b"])
    assert cluster.nodes[1].term(index) == (term if 2 in reached else term + 1)


def test_a_new_segment_is_begun_after_all_before_it_is_durable() -> None:
    cluster = led_cluster(max_segment_bytes=HEADER_BYTES)
    for command in (b"a", b"b"):
        cluster.nodes[1].propose(command)
    begin = ["create", "append", "sync", "sync", "append"]
    assert cluster.take_verbs(1) == [*begin, "sync", *begin]
    cluster.settle()
    cluster.agree_on([b"a", b"b"])


def test_a_failed_sync_stops_the_leader_with_nothing_promised() -> None:
    cluster = led_cluster()
    node = cluster.nodes[1]
    index = node.propose(b"a")
    cluster.collect(1)
    cluster.failing.add((1, "sync"))
    with pytest.raises(DiskError):
        node.sync()
    assert (node.durable_index, node.commit_index, node.take_effects()) == (
        index - 1,
        index - 1,
        [],
    )
    cluster.failing.clear()
    cluster.kill(1)
    cluster.settle()
    cluster.elect(2)
    cluster.start(1)
    cluster.propose(b"b")
    cluster.catch_up()
    cluster.agree_on([b"a", b"b"])


def test_a_leader_without_others_has_nothing_to_wait_for() -> None:
    cluster = CountedCluster(voters=1)
    cluster.elect(1)
    cluster.operations.clear()
    cluster.nodes[1].propose(b"a")
    assert cluster.take_verbs(1) == ["append", "sync"]
    cluster.agree_on([b"a"])
