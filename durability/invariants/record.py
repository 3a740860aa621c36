"""What has happened so far, as far as several properties need it. It survives every crash.

Logs are kept as **prefix digests**: H(0) = 0 and H(i) = h(H(i-1), entry i), so that equality of two
whole prefixes is one comparison and every event costs O(1), whatever the length of the logs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b

from durability.invariants.events import (
    Appended,
    Applied,
    Committed,
    Event,
    Returned,
    Role,
    RoleChanged,
    Sent,
    SnapshotPoint,
    SnapshotSaved,
    Started,
    Stopped,
    TermSaved,
    Truncated,
)
from raft.log_entry import EntryType, LogEntry
from raft.peer import Peer, PeerRole

Digest = bytes

EMPTY: Digest = bytes(16)


def prefix_digest(before: Digest, entry: LogEntry) -> Digest:
    """Extend the digest of a log by one entry."""
    return blake2b(before + entry.encode(), digest_size=16).digest()


@dataclass(slots=True)
class _Position:
    term: int
    type: EntryType
    digest: Digest


@dataclass(slots=True)
class NodeRecord:
    """One node: what is durable of it, running or not, and what it said it is.

    `base` is its snapshot's position; the log follows it.
    """

    running: bool = False
    term: int = 0
    voted_for: int | None = None
    role: Role = "follower"
    commit_index: int = 0
    last_applied: int = 0
    base_index: int = 0
    base_term: int = 0
    base_digest: Digest | None = EMPTY
    configurations: list[tuple[int, tuple[Peer, ...]]] = field(default_factory=lambda: [(0, ())])
    _log: list[_Position] = field(default_factory=list)

    @property
    def last_index(self) -> int:
        """The last durable index."""
        return self.base_index + len(self._log)

    @property
    def last_term(self) -> int:
        """The term of the last durable entry."""
        return self._log[-1].term if self._log else self.base_term

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The last configuration in log and snapshot."""
        return self.configurations[-1][1]

    @property
    def voters(self) -> frozenset[int]:
        """The voters of that configuration."""
        return voters(self.peers)

    def is_leader(self) -> bool:
        """Say whether it leads now."""
        return self.running and self.role == "leader"

    def term_at(self, index: int) -> int | None:
        """Say of which term the entry is; None where it is not known."""
        if index == self.base_index:
            return self.base_term
        return self._log[index - self.base_index - 1].term if self._has(index) else None

    def type_at(self, index: int) -> EntryType | None:
        """Say what the entry is; None where it is not known."""
        return self._log[index - self.base_index - 1].type if self._has(index) else None

    def first_command(self, after: int, to: int) -> int | None:
        """Find the first command, an entry for the state machine, among the entries (after, to]."""
        for index in range(after + 1, to + 1):
            if self.type_at(index) is EntryType.NORMAL:
                return index
        return None

    def digest(self, index: int) -> Digest | None:
        """Return the digest of the log up to `index`; None where it is not known."""
        if index == self.base_index:
            return self.base_digest
        return self._log[index - self.base_index - 1].digest if self._has(index) else None

    def holds(self, index: int, digest: Digest | None) -> bool:
        """Say whether its log begins with this prefix, or its snapshot covers it."""
        return index < self.base_index or (
            index <= self.last_index and self.digest(index) == digest
        )

    def append(self, entry: LogEntry) -> Digest:
        """Put an entry at the end, whatever its index says."""
        digest = prefix_digest(self.digest(self.last_index) or EMPTY, entry)
        self._log.append(_Position(entry.term, entry.type, digest))
        if entry.type is EntryType.CONFIGURATION:
            self.configurations.append((self.last_index, entry.peers()))
        return digest

    def truncate(self, first_index: int) -> None:
        """Remove the entries from `first_index` on, and the configurations in them."""
        del self._log[max(0, first_index - self.base_index - 1) :]
        while len(self.configurations) > 1 and self.configurations[-1][0] >= first_index:
            self.configurations.pop()

    def rebase(self, snapshot: SnapshotPoint, digest: Digest | None) -> None:
        """Let a snapshot stand for the log up to its index; keep what follows if it continues."""
        if digest is not None and self.digest(snapshot.index) == digest:
            self._log = self._log[snapshot.index - self.base_index :]
            later = [pair for pair in self.configurations if pair[0] > snapshot.index]
        else:
            self._log = []
            later = []
        self.base_index, self.base_term = snapshot.index, snapshot.term
        self.base_digest = digest
        self.configurations = [(snapshot.index, snapshot.peers), *later]

    def _has(self, index: int) -> bool:
        return self.base_index < index <= self.last_index


class Record:
    """All nodes, and what the cluster as a whole has decided.

    `digest_of` maps (index, term) to the digest of the first log that had such an entry, in which a
    leader's entries are when it sends them, durable or not;
    `committed` holds (term, digest) by index, `commit_index_of` how far the leader of each term
    has committed, `leader_of` the first leader of each term.
    """

    def __init__(self) -> None:
        self.nodes: dict[int, NodeRecord] = {}
        self.leader_of: dict[int, int] = {}
        self.digest_of: dict[tuple[int, int], Digest] = {(0, 0): EMPTY}
        self.committed: list[tuple[int, Digest | None]] = [(0, EMPTY)]
        self.commit_index_of: dict[int, int] = {}
        self._updates: dict[type, Callable[..., None]] = {
            Started: self._started,
            Stopped: self._stopped,
            TermSaved: self._term_saved,
            SnapshotSaved: self._snapshot_saved,
            Truncated: self._truncated,
            Appended: self._appended,
            RoleChanged: self._role_changed,
            Committed: self._committed,
            Applied: self._applied,
            Sent: self._sent,
            Returned: self._returned,
        }

    @property
    def committed_index(self) -> int:
        """The largest index that any leader has committed."""
        return len(self.committed) - 1

    def node(self, node: int) -> NodeRecord:
        """Return what is known of a node."""
        return self.nodes[node]

    def update(self, event: Event) -> None:
        """Take an event in, after the properties have judged it."""
        update = self._updates.get(type(event))
        if update is not None:
            update(event)

    def _started(self, event: Started) -> None:
        record = NodeRecord(running=True, term=event.term, voted_for=event.voted_for)
        point = event.snapshot
        record.rebase(point, self.digest_of.get((point.index, point.term)))
        record.commit_index = record.last_applied = point.index
        self.nodes[event.node] = record
        for entry in event.entries:
            self.digest_of.setdefault((entry.index, entry.term), record.append(entry))

    def _stopped(self, event: Stopped) -> None:
        record = self.nodes[event.node]
        record.running = False
        record.role = "follower"

    def _term_saved(self, event: TermSaved) -> None:
        record = self.nodes[event.node]
        if event.term > record.term:
            record.role = "follower"  # whatever it was, it was that in the term before
        record.term, record.voted_for = event.term, event.voted_for

    def _snapshot_saved(self, event: SnapshotSaved) -> None:
        record = self.nodes[event.node]
        point = event.snapshot
        record.rebase(point, self.digest_of.get((point.index, point.term)))
        record.commit_index = max(record.commit_index, point.index)
        record.last_applied = max(record.last_applied, point.index)

    def _truncated(self, event: Truncated) -> None:
        self.nodes[event.node].truncate(event.first_index)

    def _appended(self, event: Appended) -> None:
        entry = event.entry
        digest = self.nodes[event.node].append(entry)
        self.digest_of.setdefault((entry.index, entry.term), digest)

    def _role_changed(self, event: RoleChanged) -> None:
        self.nodes[event.node].role = event.role
        if event.role == "leader":
            self.leader_of.setdefault(event.term, event.node)

    def _committed(self, event: Committed) -> None:
        record = self.nodes[event.node]
        record.commit_index = event.index
        if record.is_leader():
            self.commit_index_of[record.term] = event.index
        for index in range(self.committed_index + 1, event.index + 1):
            self.committed.append((record.term_at(index) or 0, record.digest(index)))

    def _applied(self, event: Applied) -> None:
        self.nodes[event.node].last_applied = event.index

    def _sent(self, event: Sent) -> None:
        message = event.message
        if message.entries_count:
            digest = self.digest_of.get((message.prev_log_index, message.prev_log_term))
            for entry in message.entries() if digest is not None else ():
                digest = prefix_digest(digest or EMPTY, entry)
                self.digest_of.setdefault((entry.index, entry.term), digest)

    def _returned(self, event: Returned) -> None:
        # What the log has for itself is applied without a word.
        self.nodes[event.node].last_applied = event.last_applied


def voters(peers: tuple[Peer, ...]) -> frozenset[int]:
    """Return the ids of those who vote in a configuration."""
    return frozenset(peer.id for peer in peers if peer.role is PeerRole.VOTER)


def is_quorum(members: frozenset[int], of: frozenset[int]) -> bool:
    """Say whether `members` include a majority of `of`."""
    return 2 * len(members & of) > len(of)
