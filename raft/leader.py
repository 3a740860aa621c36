"""Leading: what a node knows and does while it leads one term. It is thrown away with the term.

A leader commits by counting only entries of its own term, and with them all before (Raft paper,
section 5.4.2); of the log it counts for itself what is durable. Until its first entry is committed
it does not know how far the group has come, so it answers no read and changes no configuration.

What it is asked to propose it writes and sends before it syncs, so that its disk and the others'
work at the same time (Ongaro 2014, section 10.2.1). That reveals entries, but promises nothing: if
a crash takes them from it, they are as good as never proposed here, and whoever has stored them
keeps them or not as with any leader that is lost. Nobody can take their indexes in the same term,
since to lead again it has to enter another. `sync` is due before anything else happens to the
node, so that all the rest of the protocol finds the whole log durable.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from raft.config import Config
from raft.effects import ReadAborted, ReadReady
from raft.errors import ChangePendingError, DecodeError, MembershipError, TransferPendingError
from raft.log_entry import EntryType, LogEntry
from raft.membership import with_voter
from raft.message import Message, MessageType
from raft.peer import Peer, PeerRole, encode_peers
from raft.read_index import Read, ReadIndex
from raft.replica import Replica
from raft.replication import Progress, Replication
from raft.snapshot_transfer import OutgoingSnapshot


@dataclass(slots=True)
class _Transfer:
    """Leadership is to go to `target`, or the attempt ends with its time."""

    target: int
    ticks_left: int


class Leader:
    """A replica that leads one term, from `begin` to `end`. It is given messages of that term."""

    def __init__(self, replica: Replica) -> None:
        self.term = replica.current_term
        self.replication = Replication(replica.node_id)
        self._replica = replica
        self._config: Config = replica.config
        self._reads = ReadIndex(replica.node_id)
        self._early_reads: list[object] = []
        self._transfer: _Transfer | None = None
        self._heartbeat_ticks_left = self._config.heartbeat_interval_ticks
        self._quorum_ticks_left = self._config.election_timeout_ticks_max

    def begin(self) -> None:
        """Append an entry of this term: with it those before are committed (section 8)."""
        next_index = self._replica.log.last_index + 1
        self.replication.track(self._replica.membership.ids, next_index)
        self._append(LogEntry(self.term, next_index, EntryType.NOOP))

    def end(self) -> None:
        """Abort what was asked of this leader and can only be answered by one."""
        contexts = self._early_reads + [read.context for read in self._reads.abort()]
        self._replica.effects += [ReadAborted(context) for context in contexts]
        self.replication.forget_all_but(())

    def tick(self) -> bool:
        """Let one tick pass; False says that no quorum is there any more: it must not lead on.

        Whoever is cut off from the others cannot know that they have elected another leader. It
        gives up between one and two maximal election timeouts after it last heard of a quorum.
        """
        if self._transfer is not None:
            self._transfer.ticks_left -= 1
            if self._transfer.ticks_left <= 0:
                self._transfer = None
        self._quorum_ticks_left -= 1
        if self._quorum_ticks_left <= 0:
            self._quorum_ticks_left = self._config.election_timeout_ticks_max
            if not self._replica.membership.is_quorum(self.replication.take_active()):
                return False
        self._heartbeat_ticks_left -= 1
        if self._heartbeat_ticks_left <= 0:
            self._send_heartbeats()
        return True

    # What it is asked for.

    def propose(self, commands: Sequence[bytes]) -> None:
        """Append commands as one batch. Where there is somebody to send it to, it is not synced.

        Raises:
            TransferPendingError: leadership is being handed over.
        """
        self._refuse_while_transferring()
        first = self._replica.log.last_index + 1
        self._replica.storage.write(
            [
                LogEntry(self.term, index, EntryType.NORMAL, command)
                for index, command in enumerate(commands, first)
            ]
        )
        self._send_entries()
        if not self.replication.peers:
            self.sync()

    def sync(self) -> None:
        """Make durable what was proposed, and count it, if there is something."""
        log = self._replica.log
        if log.durable_index < log.last_index:
            self._replica.storage.sync()
            self.replication.stored(log.durable_index)
            self._commit()

    def change(self, peers: tuple[Peer, ...]) -> int:
        """Append a configuration that differs in one peer, and say at which index.

        Two that are not committed could have quorums without a common voter, also where the other
        comes from an earlier leader and only the entry of the own term would show that it has been
        replaced (Ongaro, raft-dev, 10 July 2015).

        Raises:
            ChangePendingError: the last configuration, or the first entry of this term, is not
                committed yet.
            TransferPendingError: leadership is being handed over.
        """
        replica = self._replica
        self._refuse_while_transferring()
        if not self._has_committed or replica.membership.index > replica.commit_index:
            raise ChangePendingError("an earlier entry has to be committed first; try again then")
        index = replica.log.last_index + 1
        self._append(LogEntry(self.term, index, EntryType.CONFIGURATION, encode_peers(peers)))
        return index

    def read(self, context: object) -> None:
        """Ask the others whether this node still leads; `ReadReady` or `ReadAborted` tells."""
        if not self._has_committed:
            self._early_reads.append(context)
        elif self._reads.ask(Read(context, self._replica.commit_index)):
            self._send_heartbeats()
            self._answer_reads()

    def transfer(self, target: int) -> None:
        """Hand leadership to a voter, as soon as it holds the whole log.

        Raises:
            MembershipError: it is no other voter.
        """
        replica = self._replica
        if target == replica.node_id or target not in replica.membership.voters:
            raise MembershipError(f"node {target} is no other voter")
        self._transfer = _Transfer(target, self._config.election_timeout_ticks_min)
        self._hand_over(target)

    @property
    def transfer_target(self) -> int | None:
        """Whom leadership is being handed to."""
        return self._transfer.target if self._transfer else None

    # What its peers answer.

    def on_append_response(self, message: Message) -> None:
        """Learn what a peer holds, or that it does not hold what it was sent.

        Raises:
            DecodeError: it claims to hold more than this leader has sent.
        """
        progress = self.replication.peers[message.sender]
        if message.success and message.last_log_index > self._replica.log.last_index:
            raise DecodeError(f"peer {message.sender} holds {message.last_log_index} entries")
        progress.is_active = True
        self._reads.acknowledge(message.sender, message.prev_log_index)
        if message.success:
            progress.acknowledge(message.last_log_index, self._reads.round)
        else:
            progress.reject(message.last_log_index, message.reject_hint, message.prev_log_index)
        transfer = progress.transfer
        if transfer is not None and not 0 < message.prev_log_index <= transfer.sent_round:
            # The peer has answered what was sent after the chunk, or does not say what it answers.
            self._send_chunk_again(message.sender, progress, transfer)
        self._go_on(message.sender, progress)

    def on_snapshot_response(self, message: Message) -> None:
        """Send the next chunk, or the entries that follow."""
        progress = self.replication.peers[message.sender]
        progress.is_active = True
        transfer = progress.transfer
        if transfer is None or message.prev_log_index not in (0, transfer.index):
            return
        received_bytes = message.last_log_index
        if received_bytes == transfer.total_bytes:
            progress.acknowledge(transfer.index, self._reads.round)
            self._go_on(message.sender, progress)
        elif transfer.advance(received_bytes):
            self._send_chunk(message.sender, transfer)

    # What it does.

    @property
    def _has_committed(self) -> bool:
        """Whether an entry of this term is committed."""
        return self._replica.log.term(self._replica.commit_index) == self.term

    def _refuse_while_transferring(self) -> None:
        if self._transfer is not None:
            raise TransferPendingError(f"leadership is going to node {self._transfer.target}")

    def _append(self, entry: LogEntry) -> None:
        """Store an entry of the protocol's own, and send it."""
        self._replica.append([entry])
        self.replication.stored(entry.index)
        if entry.type is EntryType.CONFIGURATION:
            # A new peer is probed at the end of the log, and says where its own ends.
            self.replication.track(self._replica.membership.ids, entry.index)
        self._send_entries()
        self._commit()

    def _commit(self) -> None:
        """Commit what a quorum has stored, if it ends in an entry of this term."""
        replica = self._replica
        index = self.replication.quorum_index(replica.membership.voters)
        if index <= replica.commit_index or replica.log.term(index) != self.term:
            return
        replica.commit(index)
        for peer_id, progress in self.replication.peers.items():
            if not progress.is_probing and progress.next_index > index:
                self._send_append(peer_id, progress, ())
        if replica.membership.index <= index:
            # Those removed have been told just now that they are, if they were up to date.
            self.replication.forget_all_but(replica.membership.ids)
        if self._early_reads:
            early, self._early_reads = self._early_reads, []
            for context in early:
                self.read(context)

    def _go_on(self, peer_id: int, progress: Progress) -> None:
        """Do what a peer's answer may have made possible."""
        self._commit()
        self._answer_reads()
        self._send_to(peer_id, progress)
        self._promote(peer_id, progress)
        if self._transfer is not None:
            self._hand_over(self._transfer.target)

    def _answer_reads(self) -> None:
        replica = self._replica
        while done := self._reads.answered(replica.membership.is_quorum):
            replica.effects += [ReadReady(read.context, read.index) for read in done]
            if self._reads.is_asking:
                self._send_heartbeats()

    def _promote(self, peer_id: int, progress: Progress) -> None:
        """Make a learner a voter that holds all that is committed, if nothing else is changing."""
        replica = self._replica
        peers = replica.membership.peers
        if (
            self._config.promote_learners
            and progress.match_index >= replica.commit_index
            and any(peer.id == peer_id and peer.role is PeerRole.LEARNER for peer in peers)
            and self._has_committed
            and replica.membership.index <= replica.commit_index
            and self._transfer is None
        ):
            self.change(with_voter(peers, peer_id))

    def _hand_over(self, target: int) -> None:
        replica = self._replica
        if self.replication.match_index(target) == replica.log.last_index:
            message = Message(
                group_id=replica.group_id,
                type=MessageType.TIMEOUT_NOW,
                sender=replica.node_id,
                term=self.term,
            )
            replica.send(target, message)

    # What it sends.

    def _send_heartbeats(self) -> None:
        self._heartbeat_ticks_left = self._config.heartbeat_interval_ticks
        self._reads.begin_round()
        for peer_id, progress in self.replication.peers.items():
            self._send_append(peer_id, progress, ())

    def _send_entries(self) -> None:
        for peer_id, progress in self.replication.peers.items():
            self._send_to(peer_id, progress)

    def _send_to(self, peer_id: int, progress: Progress) -> None:
        """Send a peer the entries that it lacks, as many as it may be sent now."""
        log = self._replica.log
        while progress.next_index <= log.last_index and progress.may_send(
            self._config.max_appends_in_flight
        ):
            if progress.next_index < log.first_index:
                self._begin_transfer(peer_id, progress)
                return
            entries = log.batch(progress.next_index, self._config.max_append_entries_bytes)
            self._send_append(peer_id, progress, entries)
            progress.sent(entries[-1].index)

    def _send_append(self, peer_id: int, progress: Progress, entries: Sequence[LogEntry]) -> None:
        """Send entries that follow `next_index - 1`; none are a heartbeat."""
        replica = self._replica
        prev_index = progress.next_index - 1
        prev_term = replica.log.term(prev_index)
        if progress.transfer is not None or prev_term is None:
            # A heartbeat that claims nothing of the log, which begins above.
            prev_index = prev_term = 0
        message = Message(
            group_id=replica.group_id,
            type=MessageType.APPEND_ENTRIES,
            sender=replica.node_id,
            term=self.term,
            prev_log_index=prev_index,
            prev_log_term=prev_term,
            commit_index=replica.commit_index,
            reject_hint=self._reads.round,
            entries_count=len(entries),
            data=b"".join([entry.encode() for entry in entries]),
        )
        replica.send(peer_id, message)

    def _begin_transfer(self, peer_id: int, progress: Progress) -> None:
        """Send a peer the snapshot, since the entries that it lacks are no more."""
        transfer = OutgoingSnapshot(self._replica.storage, self._config.snapshot_chunk_bytes)
        progress.probe(transfer.index + 1)
        progress.transfer = transfer
        self._send_chunk(peer_id, transfer)

    def _send_chunk_again(
        self, peer_id: int, progress: Progress, transfer: OutgoingSnapshot
    ) -> None:
        if transfer.is_ahead:
            progress.end_transfer()
            self._begin_transfer(peer_id, progress)
        else:
            self._send_chunk(peer_id, transfer)

    def _send_chunk(self, peer_id: int, transfer: OutgoingSnapshot) -> None:
        transfer.sent_round = self._reads.round
        replica = self._replica
        message = Message(
            group_id=replica.group_id,
            type=MessageType.INSTALL_SNAPSHOT,
            sender=replica.node_id,
            term=self.term,
            prev_log_index=transfer.index,
            prev_log_term=transfer.term,
            commit_index=replica.commit_index,
            last_log_index=transfer.offset,
            last_log_term=transfer.total_bytes,
            success=transfer.is_last,
            data=transfer.chunk,
        )
        replica.send(peer_id, message)
