"""A Raft node as a machine without IO of its own but the disk: no clock, no socket, no thread.

The rule that everything here serves: **nothing that the node promises - a term, a vote, that it
holds an entry - leaves it before it is durable.** It holds by construction. The node keeps no term,
vote or log beside those of its `Storage`, which change only when they have been written and synced;
every effect is made from them. The one thing that travels earlier is what a leader itself proposes:
its disk and the others' write it at the same time, and it counts itself only afterwards.

The caller calls `tick` at a steady pace, `step` with each message that arrives, `propose` with each
command, and after each call does what `take_effects` says, in order. Calls come one at a time.
A leader's caller may call `sync` when the messages of its proposals are on their way; each `tick`
and `step` begins with it.

An exception in the middle of a call, the disk's or the state machine's, stops the node: what is on
the disk is then known only to a recovery, which is what the next `Node` on that directory does.

    node.py         what the caller sees
    member.py       the protocol: terms, votes, who leads
    leader.py       replicating, committing, reading, changing the members: while it leads
    follower.py     storing, committing, installing a snapshot: while another does
    replica.py      what there is in either case: storage, members, state machine
"""

import os
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from raft.config import Config
from raft.effects import Effect
from raft.election import Role
from raft.errors import (
    AlreadyBootstrappedError,
    CommandTooLargeError,
    MembershipError,
    NotLeaderError,
)
from raft.filesystem import Filesystem, LocalFilesystem
from raft.leader import Leader
from raft.log_entry import ENTRY_HEADER_BYTES, EntryType, LogEntry
from raft.member import DropReason, Member
from raft.membership import check_first, with_learner, with_voter, without
from raft.message import Message
from raft.peer import Peer, encode_peers
from raft.recovery import Recovery
from raft.replica import Replica
from raft.state_machine import StateMachine
from raft.stopping import StopOnFailure
from raft.storage import Storage

# That of the first configuration, so that every node bootstrapped alike has the same first entry.
BOOTSTRAP_TERM = 1


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
        self._storage = Storage(directory, config)
        self._stop_on_failure = StopOnFailure()
        try:
            self._replica = Replica(config, state_machine, self._storage)
        except BaseException:
            self._storage.close()
            raise
        self._member = Member(self._replica)

    # What the node is.

    @property
    def node_id(self) -> int:
        """This node's id."""
        return self._config.node_id

    @property
    def role(self) -> Role:
        """What it is in its current term."""
        return self._member.election.role

    @property
    def is_leader(self) -> bool:
        """Whether it takes proposals."""
        return self._member.leader is not None

    @property
    def leader_id(self) -> int | None:
        """The leader that it knows of."""
        return self._member.election.leader_id

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
        return self._replica.membership.peers

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
        """Up to where the log is durable: all of it, but for what was proposed and not synced."""
        return self._storage.log.durable_index

    @property
    def snapshot_index(self) -> int:
        """The index of the last entry that its snapshot stands for, 0 without one."""
        return self._replica.snapshot_index

    @property
    def commit_index(self) -> int:
        """Up to where it knows the log to be committed. Not durable: found anew after a restart."""
        return self._replica.commit_index

    @property
    def last_applied(self) -> int:
        """Up to where the state machine has been brought."""
        return self._replica.last_applied

    @property
    def recovery(self) -> Recovery:
        """What was found at the end of the log when the directory was opened."""
        return self._storage.recovery

    @property
    def is_complete(self) -> bool:
        """Whether its log holds all that it has ever acknowledged. If not, it votes for nobody."""
        return self._storage.metadata.is_complete

    @property
    def transfer_target(self) -> int | None:
        """Whom it is handing leadership to."""
        return self._member.leader.transfer_target if self._member.leader else None

    @property
    def dropped_messages(self) -> Counter[DropReason]:
        """How many messages had no effect, and why."""
        return self._member.dropped_messages

    def entry(self, index: int) -> LogEntry:
        """Return one entry of the log, from `first_index` to `last_index`."""
        return self._storage.log.entry(index)

    def term(self, index: int) -> int | None:
        """Say of which term an entry is, also the snapshot's last one; None where that is gone."""
        return self._storage.log.term(index)

    def match_index(self, peer_id: int) -> int | None:
        """Say up to where a leader knows a node to hold the log; None of one that does not lead."""
        leader = self._member.leader
        return leader.replication.match_index(peer_id) if leader else None

    def next_index(self, peer_id: int) -> int | None:
        """Say which entry a leader sends a peer next; None where it sends none."""
        leader = self._member.leader
        progress = leader.replication.peers.get(peer_id) if leader else None
        return progress.next_index if progress else None

    # What it can be asked.

    def bootstrap(self, peers: Sequence[Peer]) -> None:
        """Give a new group its first configuration, the same on each of its first members.

        It is durable when this returns. Works once, on a node without any log. Never do it to a
        member of a group that has lost its disk: it would vote as if it had promised nothing.

        Raises:
            AlreadyBootstrappedError: it has a log or a configuration. Nothing was changed.
            ConfigError: the configuration lacks this node, or a voter, or lists one twice.
        """
        with self._stop_on_failure:
            if self.last_index or self.peers:
                raise AlreadyBootstrappedError(f"the log reaches to index {self.last_index}")
            check_first(peers, self.node_id)
            data = encode_peers(peers)
            if self.current_term < BOOTSTRAP_TERM:
                self._storage.save_term(BOOTSTRAP_TERM, None)
            self._replica.append([LogEntry(BOOTSTRAP_TERM, 1, EntryType.CONFIGURATION, data)])

    def tick(self) -> None:
        """Let one tick of time pass."""
        with self._stop_on_failure:
            self._member.tick()

    def step(self, message: Message) -> None:
        """Take a message in. One that is not for this node, or makes no sense, is only counted."""
        with self._stop_on_failure:
            self._member.step(message)

    def propose(self, command: bytes) -> int:
        """Append a command to the log and say at which index.

        It is durable here when `sync` returns, and where this node is alone when this does.
        `Applied` tells when it has been committed and applied, at this index and in the current
        term. Another term's entry at that index says that this one is lost.

        Raises:
            NotLeaderError: only the leader takes commands.
            CommandTooLargeError: no message could carry it.
            TransferPendingError: leadership is being handed over.
        """
        return self.propose_many((command,)).start

    def propose_many(self, commands: Sequence[bytes]) -> range:
        """Append commands as one batch, in one write; say at which indexes.

        They share one sync, with each other and with whatever else is proposed before it.

        Raises:
            NotLeaderError: only the leader takes commands.
            CommandTooLargeError: no message could carry one of them; none is taken.
            TransferPendingError: leadership is being handed over.
        """
        with self._stop_on_failure:
            leader = self._leader()
            limit = self._config.max_message_payload_bytes - ENTRY_HEADER_BYTES
            for command in commands:
                if len(command) > limit:
                    raise CommandTooLargeError(f"{len(command)} bytes; {limit} are permitted")
            first = self._storage.log.last_index + 1
            if commands:
                leader.propose(commands)
            return range(first, first + len(commands))

    def sync(self) -> None:
        """Make durable what was proposed, and commit it if the others have stored it already.

        Where nothing is left to sync it does nothing. Whoever does not call it waits for the next
        `tick` or `step`; who calls it before the messages are sent waits for two disks in turn.
        """
        with self._stop_on_failure:
            self._member.sync()

    def add_peer(self, peer: Peer) -> int:
        """Make a node a member, as a learner whatever its role; say at which index.

        This and the other changes are in effect at once, and done when `ConfigurationChanged` says
        that they are committed. Unless `Config.promote_learners` is off, a learner that has caught
        up becomes a voter by itself.

        Raises:
            NotLeaderError: only the leader changes the members.
            MembershipError: it is a member.
            ChangePendingError: an earlier entry has to be committed first.
            TransferPendingError: leadership is being handed over.
        """
        with self._stop_on_failure:
            return self._leader().change(with_learner(self.peers, peer))

    def promote(self, peer_id: int) -> int:
        """Make a learner a voter; say at which index.

        Raises:
            NotLeaderError, ChangePendingError, TransferPendingError: as `add_peer`.
            MembershipError: it is no learner.
        """
        with self._stop_on_failure:
            return self._leader().change(with_voter(self.peers, peer_id))

    def remove_peer(self, peer_id: int) -> int:
        """Make a node a member no more; say at which index.

        It keeps its vote and its log: added again in the same term, it does not vote twice.

        Raises:
            NotLeaderError, ChangePendingError, TransferPendingError: as `add_peer`.
            MembershipError: it is no member, or this leader, or the last voter.
        """
        with self._stop_on_failure:
            leader = self._leader()
            peers = without(self.peers, peer_id)
            if peer_id == self.node_id:
                raise MembershipError("a leader does not remove itself: hand leadership over first")
            return leader.change(peers)

    def read_index(self, context: object) -> None:
        """Ask for a linearizable read of the state machine.

        `ReadReady` with this context says that the state machine may be read now, `ReadAborted`
        that it may not: this node leads no more.

        Raises:
            NotLeaderError: only the leader can tell.
        """
        with self._stop_on_failure:
            self._leader().read(context)

    def transfer_leadership(self, peer_id: int) -> None:
        """Hand leadership to a voter. Until that is done, or has failed, no proposal is taken.

        `RoleChanged` tells when it is done; `transfer_target` is None when it has failed, after an
        election timeout at most.

        Raises:
            NotLeaderError: only the leader can.
            MembershipError: it is no other voter.
        """
        with self._stop_on_failure:
            self._leader().transfer(peer_id)

    def take_snapshot(self) -> int:
        """Replace the snapshot by one of what is applied, and compact the log; say its index.

        Where nothing was applied since the last one, that one stays.
        """
        with self._stop_on_failure:
            self._replica.take_snapshot()
            return self.snapshot_index

    def take_effects(self) -> list[Effect]:
        """Hand over what has to be done, in order; each effect is handed over once.

        Those from before a failure are good: what they promise is durable.
        """
        effects, self._replica.effects = self._replica.effects, []
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
            try:
                self._member.close()
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

    def _leader(self) -> Leader:
        leader = self._member.leader
        if leader is None:
            raise NotLeaderError(self.leader_id)
        return leader
