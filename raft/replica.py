"""What a node is whatever its role: its storage, the members, the state machine, how far they are.

The duties - following, voting, leading - act upon the one replica and speak through it. It keeps no
term, vote or entry beside those of its `Storage`, which are durable, so whatever is sent or said
from here is too; but for the commands that a leader has written and not synced yet (`raft.leader`).
"""

from collections.abc import Sequence

from raft.config import Config
from raft.effects import (
    Applied,
    ConfigurationChanged,
    Effect,
    SendMessage,
    SnapshotInstalled,
)
from raft.log import Log
from raft.log_entry import EntryType, LogEntry
from raft.membership import Membership
from raft.message import Message, MessageType
from raft.snapshot_transfer import IncomingSnapshot
from raft.state_machine import StateMachine
from raft.storage import Storage

# They carry the term that is asked about, not one that the node is in.
_PRE_VOTES = (MessageType.PRE_VOTE, MessageType.PRE_VOTE_RESPONSE)


class Replica:
    """One copy of the group's state. `effects` is what there is to do, in order.

    It begins with what the snapshot stands for, and with the configurations of the whole log: they
    are in effect when stored.
    """

    def __init__(self, config: Config, state_machine: StateMachine, storage: Storage) -> None:
        self.config = config
        self.node_id = config.node_id
        self.group_id = config.group_id
        self.storage = storage
        self.effects: list[Effect] = []
        self.membership = Membership(0, ())
        self.commit_index = 0
        self.last_applied = 0
        self.incoming: IncomingSnapshot | None = None
        self._state_machine = state_machine
        if storage.snapshot is not None:
            self._restore()
        self._find_configurations()

    @property
    def log(self) -> Log:
        """The log."""
        return self.storage.log

    @property
    def current_term(self) -> int:
        """The term that is durable."""
        return self.storage.metadata.current_term

    @property
    def snapshot_index(self) -> int:
        """The last entry that the snapshot stands for, 0 without one."""
        snapshot = self.storage.snapshot
        return snapshot.index if snapshot else 0

    def send(self, receiver: int, message: Message) -> None:
        """Send a message. The term that it reveals is durable."""
        assert message.type in _PRE_VOTES or message.term <= self.current_term
        self.effects.append(SendMessage(receiver, message))

    def append(self, entries: Sequence[LogEntry]) -> None:
        """Append entries to the log, durably; configurations among them are in effect then."""
        self.storage.append(entries)
        for entry in entries:
            if entry.type is EntryType.CONFIGURATION:
                self.membership.store(entry.index, entry.peers())
                self._tell_configuration()

    def truncate_after(self, index: int) -> None:
        """Remove entries that were never committed, durably, and what they had put into effect."""
        assert index >= self.commit_index
        self.storage.truncate_after(index)
        if self.membership.truncate_after(index):
            self._tell_configuration()

    def commit(self, index: int) -> None:
        """Take the log up to `index` as committed: apply it, in order, each entry once."""
        assert self.commit_index <= index <= self.log.last_index
        self.commit_index = index
        log = self.log
        while self.last_applied < index:
            applying = self.last_applied + 1
            entry = log.entry(applying)
            if entry.type is EntryType.NORMAL:
                result = self._state_machine.apply(applying, entry.data)
                self.effects.append(Applied(applying, entry.term, result))
            elif entry.type is EntryType.CONFIGURATION:
                self.effects.append(ConfigurationChanged(applying, entry.peers(), committed=True))
            self.last_applied = applying
        threshold = self.config.snapshot_threshold_entries
        if threshold is not None and self.last_applied - self.snapshot_index >= threshold:
            self.take_snapshot()

    def take_snapshot(self) -> None:
        """Replace the snapshot by one of what is applied, and compact the log.

        The configuration in it is the one as of then: it is committed, later ones may not be.
        """
        index = self.last_applied
        if index > self.snapshot_index:
            self.abandon_incoming()
            peers = self.membership.as_of(index)
            self.storage.save_snapshot(index, peers, self._state_machine.snapshot())
            self.membership.compact(index)

    def install_snapshot(self) -> None:
        """Take over the leader's snapshot that has come in, which reaches above `commit_index`.

        Raises:
            DecodeError: it is not whole. Give it up.
        """
        assert self.incoming is not None
        snapshot = self.incoming.finish()
        self.incoming = None
        self._restore()
        self._find_configurations()
        self.effects += (
            SnapshotInstalled(snapshot.index, snapshot.term),
            ConfigurationChanged(snapshot.index, snapshot.peers, committed=True),
        )
        if self.membership.index > snapshot.index:
            self._tell_configuration()

    def abandon_incoming(self) -> None:
        """Give up the snapshot that is coming in, if there is one: it has to begin anew."""
        if self.incoming is not None:
            self.incoming.abandon()
            self.incoming = None

    def _restore(self) -> None:
        reader = self.storage.open_snapshot()
        try:
            snapshot = reader.snapshot
            self.membership = Membership(snapshot.index, snapshot.peers)
            self.commit_index = self.last_applied = snapshot.index
            self._state_machine.restore(reader.chunks())
        finally:
            reader.close()

    def _find_configurations(self) -> None:
        for entry in self.log.entries():
            if entry.type is EntryType.CONFIGURATION and entry.index > self.snapshot_index:
                self.membership.store(entry.index, entry.peers())

    def _tell_configuration(self) -> None:
        index, peers = self.membership.index, self.membership.peers
        committed = index <= self.commit_index
        self.effects.append(ConfigurationChanged(index, peers, committed))
