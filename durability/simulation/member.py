"""A node of a simulated cluster: the machine that it runs on, and how its doings become events.

What became durable is read from the disk, not asked of the node: the invariants judge what a node
says by what a power cut would leave.
"""

from collections.abc import Callable, Iterable

from durability.audit.violation import Violation
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
from durability.simulation.disk import Disk, Interrupted, SimulatedFilesystem
from durability.simulation.durable_state import DurableState
from durability.simulation.witness import Witness
from raft import effects
from raft.config import Config
from raft.errors import ProposalError
from raft.message import Message
from raft.metadata import Metadata
from raft.node import Node
from raft.snapshot import Snapshot

Observe = Callable[[Event], None]


class Member:
    """One node id: a disk for ever, and a process from time to time.

    `node` is None while it is down. `failures` are exceptions that no node may raise.
    """

    def __init__(self, config: Config, observe: Observe) -> None:
        self.config = config
        self.disk = Disk()
        self.node: Node | None = None
        self.failures: list[Violation] = []
        self._observe = observe
        self._witness = Witness()
        self._durable = DurableState(self.disk)
        self._is_power_cut = False
        self._told_vote: tuple[int, int | None] = (0, None)
        self._told_commit_index = 0
        self._told_progress: dict[int, tuple[int, int]] = {}

    def start(self) -> None:
        """Start a process on the disk, and let it recover."""
        self._witness = Witness()
        try:
            node = Node(self.config, self._witness, SimulatedFilesystem(self.disk))
        except Interrupted:
            self.crash(power_cut=self._is_power_cut)
            return
        except Exception as error:  # noqa: BLE001 whatever it is, it is the finding
            self._fail("a node opens what it left behind", error)
            return
        self.node = node
        self._durable.take_changes()
        metadata = self._durable.metadata
        assert metadata is not None
        self._told_vote = (metadata.current_term, metadata.voted_for)
        self._told_commit_index = node.commit_index
        self._told_progress = {}
        self._observe(
            Started(
                self.config.node_id,
                metadata.current_term,
                metadata.voted_for,
                _point(self._durable.snapshot),
                tuple(self._durable.entries),
                node.peers,
            )
        )
        self._tell_restored()

    def crash(self, *, power_cut: bool) -> None:
        """End the process; what the disk keeps is the kind of crash's to say."""
        if power_cut:
            self.disk.cut_power()
            self._durable.look()
        else:
            self.disk.kill()
        if self.node is not None:
            self.node = None
            self._observe(Stopped(self.config.node_id))

    def crash_later(self, operations: int, *, power_cut: bool) -> None:
        """End the process inside its disk operation after so many more."""
        self._is_power_cut = power_cut
        self.disk.interrupt_after(operations)

    def tick(self) -> list[effects.Effect]:
        """Let a tick pass."""
        return self.call(Node.tick, "tick")

    def step(self, message: Message) -> list[effects.Effect]:
        """Deliver a message."""
        return self.call(lambda node: node.step(message), message)

    def call(
        self, action: Callable[[Node], object], cause: Cause = "request"
    ) -> list[effects.Effect]:
        """Call the running node, tell what it did, and hand over its effects.

        A refusal is a possible outcome, and none of the node's doing.
        """
        node = self.node
        if node is None:
            return []
        self._observe(Called(self.config.node_id, cause))
        try:
            action(node)
        except ProposalError:
            pass
        except Interrupted:
            self._tell_durable()
            self.crash(power_cut=self._is_power_cut)
            return []
        except Exception as error:  # noqa: BLE001 whatever it is, it is the finding
            self._fail("no input makes a node raise", error)
            self.crash(power_cut=False)
            return []
        taken = node.take_effects()
        self._tell(node, taken)
        return taken

    def _tell(self, node: Node, taken: Iterable[effects.Effect]) -> None:
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
            self._observe(SnapshotSaved(self.config.node_id, own_snapshot))
        self._tell_progress(node)
        self._observe(
            Returned(
                self.config.node_id,
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
        for change in self._durable.take_changes():
            if change.metadata is not None:
                self._tell_vote(change.metadata)
            if change.snapshot is not None:
                point = _point(change.snapshot)
                if self._witness.restored is None:
                    own_snapshot = point
                else:
                    self._observe(SnapshotSaved(self.config.node_id, point))
            if change.is_truncated:
                self._observe(Truncated(self.config.node_id, change.kept_index + 1))
            for entry in change.appended:
                self._observe(Appended(self.config.node_id, entry))
        return own_snapshot

    def _tell_vote(self, metadata: Metadata) -> None:
        vote = (metadata.current_term, metadata.voted_for)
        if vote != self._told_vote:
            self._told_vote = vote
            self._observe(TermSaved(self.config.node_id, *vote))

    def _tell_commit(self, node: Node) -> None:
        if node.commit_index != self._told_commit_index:
            self._told_commit_index = node.commit_index
            self._observe(Committed(self.config.node_id, node.commit_index))

    def _tell_restored(self) -> None:
        if self._witness.restored is not None:
            self._observe(StateRestored(self.config.node_id, *self._witness.restored))
            self._witness.restored = None

    def _tell_effect(self, effect: effects.Effect) -> None:
        node_id = self.config.node_id
        match effect:
            case effects.SendMessage(receiver, message):
                self._observe(Sent(node_id, receiver, message))
            case effects.RoleChanged(role, term):
                self._observe(RoleChanged(node_id, role.value, term))
            case effects.Applied(index):
                step = self._witness.applied.popleft()
                assert step.index == index
                self._observe(Applied(node_id, index, step.digest, step.request, step.is_fresh))
            case effects.ReadReady(int() as request, index):
                self._observe(ReadServed(node_id, request, index))

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
                self._observe(Progress(self.config.node_id, peer.id, *told))

    def _fail(self, guarantee: str, error: Exception) -> None:
        self.failures.append(
            Violation(
                kind="exception",
                invariant=guarantee,
                message=f"node {self.config.node_id} raised {type(error).__name__}: {error}",
            )
        )


def _point(snapshot: Snapshot | None) -> SnapshotPoint:
    if snapshot is None:
        return SnapshotPoint()
    return SnapshotPoint(snapshot.index, snapshot.term, snapshot.peers)
