"""What a node did, told as events: the link between a driver of nodes and the invariants.

What became durable is read from the disk, not asked of the node: the invariants judge what a node
says by what a power cut would leave.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from durability.invariants.events import (
    Appended,
    Applied,
    Called,
    Cause,
    Committed,
    Event,
    Progress,
    ReadServed,
    Returned,
    RoleChanged,
    Sent,
    SnapshotPoint,
    SnapshotSaved,
    Started,
    StateRestored,
    Stopped,
    TermSaved,
    Truncated,
)
from durability.simulation import witness
from durability.simulation.disk import Disk
from durability.simulation.durable_state import DurableState
from raft import effects
from raft.metadata import Metadata
from raft.node import Node
from raft.snapshot import Snapshot

Observe = Callable[[Event], None]


class StateWitness(Protocol):
    """A state machine that says what it was given, for the account to take away.

    `applied` are the commands, in order; `restored` is the (index, digest) of the last snapshot
    that was taken over.
    """

    applied: deque[witness.Applied]
    restored: tuple[int, bytes] | None


class Account:
    """The events of one node id, on one disk, through all lives of its process.

    `durable` is what a power cut would leave. Call `start` when a process has opened the directory,
    `call` before each call of the node and `tell` after it, `stop` when the process is no more. The
    order of events within a call is that of `durability.invariants.events`.
    """

    def __init__(self, node_id: int, disk: Disk, observe: Observe) -> None:
        self._node_id = node_id
        self._observe = observe
        self.durable = DurableState(disk)
        self._witness: StateWitness | None = None
        self._told_vote: tuple[int, int | None] = (0, None)
        self._told_commit_index = 0
        self._told_progress: dict[int, tuple[int, int]] = {}

    def start(self, node: Node, state_witness: StateWitness, *, lost: bool = False) -> None:
        """Tell that a process runs on what it has recovered; `lost` as in `Started`."""
        self._witness = state_witness
        self.durable.take_changes()
        metadata = self.durable.metadata
        assert metadata is not None
        self._told_vote = (metadata.current_term, metadata.voted_for)
        self._told_commit_index = node.commit_index
        self._told_progress = {}
        self._observe(
            Started(
                self._node_id,
                metadata.current_term,
                metadata.voted_for,
                _point(self.durable.snapshot),
                tuple(self.durable.entries),
                node.peers,
                lost,
            )
        )
        self._tell_restored()

    def stop(self, *, is_power_cut: bool) -> None:
        """Tell that the process has ended; after a power cut the disk is looked at anew."""
        if is_power_cut:
            self.durable.look()
        if self._witness is not None:
            self._witness = None
            self._observe(Stopped(self._node_id))

    def call(self, cause: Cause) -> None:
        """Tell that a call begins."""
        self._observe(Called(self._node_id, cause))

    def interrupt(self, node: Node, taken: Iterable[effects.Effect]) -> None:
        """Tell what a call has come to that will not end: what it was to send is never sent.

        What the node had committed counts: it may have a snapshot of it by now.
        """
        own_snapshot = self._tell_durable()
        for effect in taken:
            if isinstance(effect, effects.RoleChanged):
                self._tell_effect(effect)
        self._tell_commit(node)
        if own_snapshot is not None:
            self._observe(SnapshotSaved(self._node_id, own_snapshot))

    def tell(self, node: Node, taken: Iterable[effects.Effect]) -> None:
        """Tell what a call has done, which had these effects."""
        own_snapshot = self._tell_durable()
        self._tell_restored()
        is_commit_told = False
        for effect in taken:
            # Roles come first: who commits does so in the role that it has by then.
            if not is_commit_told and not isinstance(effect, effects.RoleChanged):
                self._tell_commit(node)
                is_commit_told = True
            self._tell_effect(effect)
        if not is_commit_told:
            self._tell_commit(node)
        if own_snapshot is not None:
            self._observe(SnapshotSaved(self._node_id, own_snapshot))
        self._tell_progress(node)
        self._observe(
            Returned(
                self._node_id,
                node.current_term,
                node.snapshot_index,
                node.last_applied,
                node.commit_index,
                node.durable_index,
                node.last_index,
                node.peers,
            )
        )

    def _tell_durable(self) -> SnapshotPoint | None:
        """Tell what became durable, but for a snapshot of its own, which is handed back.

        It stands for what is committed, and that is told later.
        """
        own_snapshot = None
        for change in self.durable.take_changes():
            if change.metadata is not None:
                self._tell_vote(change.metadata)
            if change.snapshot is not None:
                point = _point(change.snapshot)
                if self._witness is None or self._witness.restored is None:
                    own_snapshot = point
                else:
                    self._observe(SnapshotSaved(self._node_id, point))
            if change.is_truncated:
                self._observe(Truncated(self._node_id, change.kept_index + 1))
            for entry in change.appended:
                self._observe(Appended(self._node_id, entry))
        return own_snapshot

    def _tell_vote(self, metadata: Metadata) -> None:
        vote = (metadata.current_term, metadata.voted_for)
        if vote != self._told_vote:
            self._told_vote = vote
            self._observe(TermSaved(self._node_id, *vote))

    def _tell_commit(self, node: Node) -> None:
        if node.commit_index != self._told_commit_index:
            self._told_commit_index = node.commit_index
            self._observe(Committed(self._node_id, node.commit_index))

    def _tell_restored(self) -> None:
        assert self._witness is not None
        if self._witness.restored is not None:
            self._observe(StateRestored(self._node_id, *self._witness.restored))
            self._witness.restored = None

    def _tell_effect(self, effect: effects.Effect) -> None:
        match effect:
            case effects.SendMessage(receiver, message):
                self._observe(Sent(self._node_id, receiver, message))
            case effects.RoleChanged(role, term):
                self._observe(RoleChanged(self._node_id, role.value, term))
            case effects.Applied(index):
                assert self._witness is not None
                step = self._witness.applied.popleft()
                assert step.index == index
                self._observe(
                    Applied(self._node_id, index, step.digest, step.request, step.is_fresh)
                )
            case effects.ReadReady(int() as request, index):
                self._observe(ReadServed(self._node_id, request, index))

    def _tell_progress(self, node: Node) -> None:
        if not node.is_leader:
            return
        for peer in node.peers:
            match_index, next_index = node.match_index(peer.id), node.next_index(peer.id)
            if match_index is None or next_index is None:
                continue
            told = (match_index, next_index)
            if self._told_progress.get(peer.id) != told:
                self._told_progress[peer.id] = told
                self._observe(Progress(self._node_id, peer.id, *told))


def _point(snapshot: Snapshot | None) -> SnapshotPoint:
    if snapshot is None:
        return SnapshotPoint()
    return SnapshotPoint(snapshot.index, snapshot.term, snapshot.peers)
