"""A Raft node as a machine without IO of its own but the disk: no clock, no socket, no thread.

The rule that everything here serves: **nothing that reveals a term, a vote or an entry leaves the
node before it is durable.** It holds by construction. The node keeps no term, vote or log beside
those of its `Storage`, which change only when they have been written and synced; every effect is
made from them.

The caller calls `tick` at a steady pace, `step` with each message that arrives, `propose` with each
command, and after each call does what `take_effects` says, in order. Calls come one at a time.

An exception in the middle of a call, the disk's or the state machine's, stops the node: what is on
the disk is then known only to a recovery, which is what the next `Node` on that directory does.
This version runs groups of a single voter; whoever else asks it for a vote is refused.
"""

import os
from collections import Counter
from collections.abc import Sequence
from enum import Enum
from types import TracebackType
from typing import Self

from raft.config import Config
from raft.effects import Applied, Effect, RoleChanged, SendMessage
from raft.election import Election, Role
from raft.errors import (
    AlreadyBootstrappedError,
    CommandTooLargeError,
    ConfigError,
    NotLeaderError,
    ProposalError,
    StoppedError,
)
from raft.filesystem import Filesystem, LocalFilesystem
from raft.log_entry import EntryType, LogEntry
from raft.membership import Membership
from raft.message import Message, MessageType
from raft.peer import Peer, PeerRole, encode_peers
from raft.recovery import Recovery
from raft.replication import Replication
from raft.state_machine import StateMachine
from raft.storage import Storage

# That of the first configuration, so that every node bootstrapped alike has the same first entry.
BOOTSTRAP_TERM = 1

_ENTRY_HEADER_BYTES = len(LogEntry(0, 0).encode())
_REFUSALS = {
    MessageType.REQUEST_VOTE: MessageType.REQUEST_VOTE_RESPONSE,
    MessageType.PRE_VOTE: MessageType.PRE_VOTE_RESPONSE,
}


class DropReason(Enum):
    """Why a message was dropped without any other effect than being counted."""

    OTHER_GROUP = "other group"
    NOT_A_MEMBER = "not a member"
    FROM_ITSELF = "from itself"


class Node:
    """One member of one group, on one data directory.

    Args:
        config: who it is, and its settings.
        state_machine: empty; it is given what the directory's snapshot holds.
        directory: the path of a directory that exists, or a `Filesystem` that stands for one.

    Opening recovers the directory (docs/formats.md); `recovery` says what was found. The node is a
    follower then, and has applied what the snapshot stands for.

    Raises:
        StorageError: the directory cannot be used; the subclass says why.
    """

    def __init__(
        self,
        config: Config,
        state_machine: StateMachine,
        directory: str | os.PathLike[str] | Filesystem,
    ) -> None:
        if isinstance(directory, str | os.PathLike):
            directory = LocalFilesystem(directory)
        self._config = config
        self._state_machine = state_machine
        self._storage = Storage(directory, config)
        self._stop_on_failure = _StopOnFailure()
        self._election = Election(config)
        self._replication = Replication()
        self._effects: list[Effect] = []
        self.dropped_messages: Counter[DropReason] = Counter()
        try:
            snapshot = self._storage.snapshot
            self._membership = Membership(0, ())
            self._commit_index = self._last_applied = 0
            if snapshot is not None:
                self._membership = Membership(snapshot.index, snapshot.peers)
                self._commit_index = self._last_applied = snapshot.index
                state_machine.restore(self._storage.snapshot_chunks())
            for entry in self._storage.log.entries():
                if entry.type is EntryType.CONFIGURATION:
                    self._membership.store(entry.index, entry.peers())
        except BaseException:
            self._storage.close()
            raise

    # What the node is.

    @property
    def node_id(self) -> int:
        """This node's id."""
        return self._config.node_id

    @property
    def role(self) -> Role:
        """What it is in its current term."""
        return self._election.role

    @property
    def is_leader(self) -> bool:
        """Whether it takes proposals."""
        return self._election.role is Role.LEADER

    @property
    def leader_id(self) -> int | None:
        """The leader that it knows of."""
        return self._election.leader_id

    @property
    def current_term(self) -> int:
        """The latest term that it has seen."""
        return self._storage.metadata.current_term

    @property
    def voted_for(self) -> int | None:
        """Whom it has given its vote in that term."""
        return self._storage.metadata.voted_for

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The configuration in effect; empty before a bootstrap."""
        return self._membership.peers

    @property
    def first_index(self) -> int:
        """The index of the first entry that its log still has; `last_index + 1` without any."""
        return self._storage.log.first_index

    @property
    def last_index(self) -> int:
        """The index of the last entry of its log, or of its snapshot."""
        return self._storage.log.last_index

    @property
    def durable_index(self) -> int:
        """Up to where the log is durable: all of it, since nothing counts before it is synced."""
        return self._storage.log.last_index

    @property
    def snapshot_index(self) -> int:
        """The index of the last entry that its snapshot stands for, 0 without one."""
        return self._storage.log.first_index - 1

    @property
    def commit_index(self) -> int:
        """Up to where it knows the log to be committed. Not durable: found anew after a restart."""
        return self._commit_index

    @property
    def last_applied(self) -> int:
        """Up to where the state machine has been brought."""
        return self._last_applied

    @property
    def recovery(self) -> Recovery:
        """What was found at the end of the log when the directory was opened."""
        return self._storage.recovery

    # What it can be asked.

    def bootstrap(self, peers: Sequence[Peer]) -> None:
        """Give a new group its first configuration: this node as its only voter.

        It is durable when this returns. Works once, on a node without any log.

        Raises:
            AlreadyBootstrappedError: it has a log or a configuration. Nothing was changed.
            ConfigError: the configuration is not one that this version can run.
        """
        with self._stop_on_failure:
            if self.last_index or self.peers:
                raise AlreadyBootstrappedError(f"the log reaches to index {self.last_index}")
            if [(peer.id, peer.role) for peer in peers] != [(self.node_id, PeerRole.VOTER)]:
                raise ConfigError(
                    f"this version runs groups of a single voter: "
                    f"peers must be node {self.node_id} alone, as a voter"
                )
            data = encode_peers(peers)
            if self.current_term < BOOTSTRAP_TERM:
                self._storage.save_term(BOOTSTRAP_TERM, None)
            entry = LogEntry(BOOTSTRAP_TERM, 1, EntryType.CONFIGURATION, data)
            self._storage.append([entry])
            self._membership.store(entry.index, tuple(peers))

    def tick(self) -> None:
        """Let one tick of time pass."""
        with self._stop_on_failure:
            if self.node_id in self._membership.voters and self._election.tick():
                self._campaign()

    def step(self, message: Message) -> None:
        """Take a message in.

        Nothing in it changes the state of a single voter. One that asks for a vote is refused, with
        this node's term and not the sender's; any other is dropped and counted.
        """
        with self._stop_on_failure:
            if message.group_id != self._config.group_id:
                self.dropped_messages[DropReason.OTHER_GROUP] += 1
            elif message.sender == self.node_id:
                self.dropped_messages[DropReason.FROM_ITSELF] += 1
            # Whoever else sends is no member: this group is this node alone.
            elif refusal := _REFUSALS.get(message.type):
                self._send(message.sender, refusal)
            else:
                self.dropped_messages[DropReason.NOT_A_MEMBER] += 1

    def propose(self, command: bytes) -> int:
        """Append a command to the log and say at which index; durable when this returns.

        `Applied` tells when it has been applied, at this index and in the current term.

        Raises:
            NotLeaderError: only the leader takes commands.
            CommandTooLargeError: no message could carry it.
        """
        return self.propose_many((command,)).start

    def propose_many(self, commands: Sequence[bytes]) -> range:
        """Append commands as one batch, which shares one write and one sync; say at which indexes.

        Raises:
            NotLeaderError: only the leader takes commands.
            CommandTooLargeError: no message could carry one of them; none is taken.
        """
        with self._stop_on_failure:
            if self._election.role is not Role.LEADER:
                raise NotLeaderError(self._election.leader_id)
            limit = self._config.max_message_payload_bytes - _ENTRY_HEADER_BYTES
            for command in commands:
                if len(command) > limit:
                    raise CommandTooLargeError(f"{len(command)} bytes; {limit} are permitted")
            first = self._storage.log.last_index + 1
            if commands:
                term = self._storage.metadata.current_term
                self._append(
                    [
                        LogEntry(term, index, EntryType.NORMAL, command)
                        for index, command in enumerate(commands, first)
                    ]
                )
            return range(first, first + len(commands))

    def take_snapshot(self) -> int:
        """Replace the snapshot by one of what is applied, and compact the log; say its index.

        Where nothing was applied since the last one, that one stays.
        """
        with self._stop_on_failure:
            if self._last_applied > self.snapshot_index:
                index = self._last_applied
                peers = self._membership.as_of(index)
                self._storage.save_snapshot(index, peers, self._state_machine.snapshot())
                self._membership.compact(index)
            return self.snapshot_index

    def take_effects(self) -> list[Effect]:
        """Hand over what has to be done, in order; each effect is handed over once.

        Those from before a failure are good: what they reveal is durable.
        """
        effects, self._effects = self._effects, []
        return effects

    def close(self) -> None:
        """Stop, and release the directory. A second call does nothing.

        Raises:
            DiskError: the disk failed even now. What was acknowledged is durable all the same.
        """
        if self._stop_on_failure.closed:
            return
        self._stop_on_failure.closed = True
        try:
            if not self._stop_on_failure.stopped:
                self._stop_on_failure.stopped = True
                self._storage.pin()
        finally:
            self._storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # What it does.

    def _campaign(self) -> None:
        """Enter the next term and vote for itself (Raft paper, section 5.2)."""
        self._storage.save_term(self.current_term + 1, self.node_id)
        self._election.campaign()
        self._effects.append(RoleChanged(Role.CANDIDATE, self.current_term))
        if self._membership.is_quorum(self._election.votes):
            self._lead()

    def _lead(self) -> None:
        """Lead, and append an entry of this term, which commits those before it (section 8)."""
        self._election.lead()
        self._replication = Replication()
        self._effects.append(RoleChanged(Role.LEADER, self.current_term))
        self._append([LogEntry(self.current_term, self.last_index + 1, EntryType.NOOP)])

    def _append(self, entries: list[LogEntry]) -> None:
        """Store a batch as the leader, and commit what a quorum has stored with it."""
        self._storage.append(entries)
        self._replication.stored(self._config.node_id, self._storage.log.last_index)
        self._commit()

    def _commit(self) -> None:
        """Commit what a quorum has stored, if it ends in an entry of this term (section 5.4.2)."""
        index = self._replication.quorum_index(self._membership.voters)
        term = self._storage.metadata.current_term
        if index > self._commit_index and self._storage.log.term(index) == term:
            self._commit_index = index
            self._apply()

    def _apply(self) -> None:
        """Apply what is committed, in order, each entry once."""
        log = self._storage.log
        while self._last_applied < self._commit_index:
            index = self._last_applied + 1
            entry = log.entry(index)
            if entry.type is EntryType.NORMAL:
                result = self._state_machine.apply(index, entry.data)
                self._effects.append(Applied(index, entry.term, result))
            self._last_applied = index
        threshold = self._config.snapshot_threshold_entries
        if threshold is not None and self._last_applied - self.snapshot_index >= threshold:
            self.take_snapshot()

    def _send(self, receiver: int, kind: MessageType) -> None:
        message = Message(self._config.group_id, kind, self.node_id, self.current_term)
        self._effects.append(SendMessage(receiver, message))


class _StopOnFailure:
    """Lets a call begin only while the node runs, and stops the node where one fails halfway.

    A ProposalError or a ConfigError is raised before anything has been changed.
    """

    __slots__ = ("closed", "stopped")

    def __init__(self) -> None:
        self.closed = False
        self.stopped = False

    def __enter__(self) -> None:
        if self.stopped:
            raise StoppedError("this node has stopped; open the directory anew")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and not isinstance(error, ProposalError | ConfigError):
            self.stopped = True
