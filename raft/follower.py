"""Following: what a node does with what a leader sends.

Two rules keep a follower from promising what it does not hold. It acknowledges, and commits, up to
the last entry that the very request has verified, never up to the end of its own log, which may go
on with entries of a leader that was deposed. And what it knows to be committed is never replaced: a
leader of the same or a later term holds all of that (Raft paper, section 5.4), so a request that
arrives late, or reaches below the snapshot, can only repeat it, and one that goes on from another
entry than the last committed one comes from no leader.
"""

from itertools import pairwise

from raft.errors import DecodeError
from raft.log_entry import EntryType, LogEntry
from raft.message import Message, MessageType
from raft.peer import has_voter
from raft.replica import Replica
from raft.snapshot_transfer import IncomingSnapshot, Stream


class Follower:
    """A replica in its leader's hands. The messages are of the current term and of its leader."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def append_entries(self, message: Message) -> None:
        """Store what is new, commit what is verified, and say up to where it holds the log.

        Raises:
            DecodeError: the entries are not what a leader sends. Nothing was changed.
        """
        replica = self._replica
        log = replica.log
        entries = _decode_entries(message)
        self._check_committed(message, entries)
        prev_index = message.prev_log_index
        if prev_index > replica.commit_index and log.term(prev_index) != message.prev_log_term:
            hint = self._agreement_hint(prev_index)
            self._respond(message, success=False, index=prev_index, reject_hint=hint)
            return
        verified = max(prev_index + len(entries), replica.commit_index)
        agreed = max(replica.commit_index - prev_index, 0)
        while agreed < len(entries) and log.term(entries[agreed].index) == entries[agreed].term:
            agreed += 1
        if agreed < len(entries):
            self._store(entries[agreed:])
        commit_index = min(message.commit_index, verified)
        if commit_index > replica.commit_index:
            replica.commit(commit_index)
        if commit_index == message.commit_index:
            self._settle(commit_index, message.term)
        self._respond(message, success=True, index=verified)

    def install_snapshot(self, message: Message) -> None:
        """Take in a chunk of the leader's snapshot and say how much there is; install the whole.

        One that does not reach above `commit_index` is not wanted: the log holds all that it does.

        Raises:
            DecodeError: it is not what a leader sends. It was given up.
        """
        replica = self._replica
        stream = Stream.of(message)
        if stream.index <= replica.commit_index:
            replica.abandon_incoming()
            self._respond_received(message, stream.total_bytes)
            return
        offset = message.last_log_index
        incoming = replica.incoming
        if incoming is None or incoming.stream != stream:
            if offset > 0:
                self._respond_received(message, 0)
                return
            replica.abandon_incoming()
            incoming = replica.incoming = IncomingSnapshot(replica.storage, stream)
        if offset == incoming.received_bytes:
            self._mark_newcomer()
            try:
                incoming.append(message.data)
                if message.success:
                    replica.install_snapshot()
            except DecodeError:
                replica.abandon_incoming()
                raise
        self._respond_received(message, incoming.received_bytes)

    def _check_committed(self, message: Message, entries: tuple[LogEntry, ...]) -> None:
        """Check that entries above `commit_index` follow the entry that is committed there.

        Where terms agree all before agrees too, so no other of the committed ones is compared.

        Raises:
            DecodeError: they follow another one.
        """
        replica = self._replica
        committed = replica.commit_index - message.prev_log_index
        if 0 <= committed < len(entries):
            term = entries[committed - 1].term if committed else message.prev_log_term
            committed_term = replica.log.term(replica.commit_index)
            if term != committed_term:
                raise DecodeError(
                    f"entry {replica.commit_index} of term {committed_term} is committed, and the "
                    f"leader's is of term {term}"
                )

    def _store(self, entries: tuple[LogEntry, ...]) -> None:
        """Store entries the first of which is not in the log, in the place of what is there."""
        replica = self._replica
        self._mark_newcomer()
        replica.truncate_after(entries[0].index - 1)
        replica.append(entries)

    def _agreement_hint(self, prev_index: int) -> int:
        """Say up to where the log may agree with the leader's, which it does not at `prev_index`.

        What follows a term's first entry came from the same leader as that one: if the last of them
        is wrong, all of them may be, and the hint skips them in one step.
        """
        replica = self._replica
        log = replica.log
        if prev_index > log.last_index:
            return log.last_index
        term = log.term(prev_index)
        hint = prev_index - 1
        while hint > replica.commit_index and log.term(hint) == term:
            hint -= 1
        return hint

    def _mark_newcomer(self) -> None:
        """Note, before it holds anything, that a node without any log may once have had one.

        It may be new, or have lost its disk under an identity that others know; it cannot tell.
        """
        replica = self._replica
        if not replica.membership.peers and replica.storage.metadata.is_complete:
            replica.storage.mark_incomplete()

    def _settle(self, commit_index: int, term: int) -> None:
        """Take the log for complete again, once it holds what a leader of this term has committed.

        An entry of the leader's own term among it says that nothing from earlier is missing.
        """
        replica = self._replica
        if not replica.storage.metadata.is_complete and replica.log.term(commit_index) == term:
            replica.storage.mark_complete()

    def _respond(
        self, request: Message, *, success: bool, index: int, reject_hint: int = 0
    ) -> None:
        """Answer an AppendEntries; `index` is up to where the logs agree, or where they do not."""
        replica = self._replica
        response = Message(
            group_id=replica.group_id,
            type=MessageType.APPEND_ENTRIES_RESPONSE,
            sender=replica.node_id,
            term=replica.current_term,
            prev_log_index=request.reject_hint,  # the round of the leader's reads, echoed
            last_log_index=index,
            success=success,
            reject_hint=reject_hint,
        )
        replica.send(request.sender, response)

    def _respond_received(self, request: Message, received_bytes: int) -> None:
        replica = self._replica
        response = Message(
            group_id=replica.group_id,
            type=MessageType.INSTALL_SNAPSHOT_RESPONSE,
            sender=replica.node_id,
            term=replica.current_term,
            prev_log_index=request.prev_log_index,
            prev_log_term=request.prev_log_term,
            last_log_index=received_bytes,
            success=True,
        )
        replica.send(request.sender, response)


def _decode_entries(message: Message) -> tuple[LogEntry, ...]:
    """Decode the entries, all or none, and check that a leader could have sent them.

    Raises:
        DecodeError: they do not decode, do not follow each other, or are of a later term; or a
            configuration is not one.
    """
    entries = message.entries()
    before = LogEntry(message.prev_log_term, message.prev_log_index)
    for previous, entry in pairwise((before, *entries)):
        if entry.index != previous.index + 1 or not previous.term <= entry.term <= message.term:
            raise DecodeError(
                f"entry {entry.index} of term {entry.term} follows entry {previous.index} of term "
                f"{previous.term}, from a leader of term {message.term}"
            )
        if entry.type is EntryType.CONFIGURATION and not has_voter(entry.peers()):
            raise DecodeError(f"the configuration of entry {entry.index} has no voter")
    return entries
