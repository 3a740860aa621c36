"""What an audit of one data directory says, and the log and snapshot it found there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from durability.audit.cursor import MalformedError
from durability.audit.guarantees import breach
from durability.audit.log_entry import Entry, EntryType
from durability.audit.peer import Peer, decode_peers_whole
from durability.audit.verdict import Verdict
from durability.audit.violation import Violation

Format = Literal["v2", "raft.cr v1", "empty", "unknown"]
"""Our node's, raft.cr's, a directory without files, one whose files are none of a Raft node's."""

Tail = Literal["clean", "torn", "ambiguous"]
"""How the log ends: with a whole record, inside one, or with one that is whole but wrong."""

MAX_INDEX: Final = 2**63 - 1
"""No log gets there; above it an index is garbage, and its successor might not be a u64."""


class DirectoryAudit(msgspec.Struct, kw_only=True):
    """The result for one directory; its fields are the keys of its JSON.

    Numbers are those that recovery would find: a tail that recovery drops does not count.
    `first_index` is the first entry's, or `last_index + 1` where the log is empty. `commit_index`
    is what the node knows to be committed when it starts: v2 does not store it, so there it is the
    snapshot's index. `durable_index` is the largest index that a v2 directory shows to have been
    durable. After a violation the numbers tell how far the reader came.
    """

    path: str
    format: Format
    verdict: Verdict = "held"
    violations: list[Violation] = []
    notes: list[str] = []
    term: int = 0
    voted_for: int | None = None
    commit_index: int = 0
    first_index: int = 1
    last_index: int = 0
    last_term: int = 0
    snapshot_index: int = 0
    snapshot_term: int = 0
    peers: tuple[Peer, ...] = ()
    durable_index: int = 0
    tail: Tail = "clean"
    group_id: int | None = None
    node_id: int | None = None

    def violate(self, kind: str, message: str) -> None:
        """Add a violation; the verdict follows."""
        self.violations.append(breach(kind, message))
        self.verdict = "violation"

    def violate_malformed(self, file: str, error: MalformedError) -> None:
        """Add the violation that a file's bytes are."""
        self.violate(error.kind, f"{file}: {error}")


@dataclass(frozen=True)
class Snapshot:
    """A snapshot: the log up to `index`, as the state machine's bytes and a configuration."""

    index: int
    term: int
    peers: tuple[Peer, ...]
    state: bytes


@dataclass(frozen=True)
class RecoveredDirectory:
    """An audit with the content it is about: `entries` by index, ascending, without holes."""

    audit: DirectoryAudit
    entries: Sequence[Entry] = ()
    snapshot: Snapshot | None = None


def judge_temporaries(
    audit: DirectoryAudit, names: Iterable[str], temporaries: Iterable[str], *, recovered: bool
) -> None:
    """A temporary is what a crash leaves and what recovery removes."""
    for name in sorted(set(names).intersection(temporaries)):
        if recovered:
            audit.violate("temporary-left", f"{name} is still there")
        else:
            audit.notes.append(f"{name}: a temporary, which recovery removes")


def judge_term_and_vote(audit: DirectoryAudit) -> None:
    """Metadata against log, snapshot and configuration, which must be filled in."""
    if audit.last_term > audit.term:
        audit.violate(
            "term-beyond-metadata",
            f"entry {audit.last_index} is of term {audit.last_term}, the current term is"
            f" {audit.term}",
        )
    if audit.voted_for is None:
        return
    if audit.term == 0 or audit.voted_for == 0:
        audit.violate("invalid-vote", f"a vote for node {audit.voted_for} in term {audit.term}")
    elif audit.peers and audit.voted_for not in {peer.id for peer in audit.peers}:
        # Legal: the candidate may have been removed, or its entry truncated, since the vote.
        audit.notes.append(f"the vote is for node {audit.voted_for}, now not a member")


def judge_configurations(
    audit: DirectoryAudit, entries: Iterable[Entry], snapshot: Snapshot | None
) -> None:
    """Set `peers` to the configuration in force: the last one in the log, or the snapshot's."""
    covered: tuple[Peer, ...] | None = None
    snapshot_index = 0
    if snapshot is not None:
        snapshot_index = snapshot.index
        audit.peers = snapshot.peers
        _judge_configuration(audit, snapshot.peers, "the snapshot's configuration")
    for entry in entries:
        if entry.type is not EntryType.CONFIGURATION:
            continue
        what = f"the configuration in entry {entry.index}"
        try:
            peers = decode_peers_whole(entry.payload)
        except MalformedError as error:
            audit.violate("invalid-configuration", f"{what}: {error} of its payload")
            continue
        _judge_configuration(audit, peers, what)
        if entry.index <= snapshot_index:
            covered = peers
        else:
            audit.peers = peers
    if snapshot is not None and covered is not None and covered != snapshot.peers:
        audit.violate(
            "snapshot-mismatch",
            f"the snapshot at {snapshot_index} carries the configuration {_ids(snapshot.peers)},"
            f" the log has {_ids(covered)} there",
        )


def _judge_configuration(audit: DirectoryAudit, peers: Sequence[Peer], what: str) -> None:
    if len({peer.id for peer in peers}) < len(peers):
        audit.violate("invalid-configuration", f"{what} names a peer twice: {_ids(peers)}")
    if all(peer.role != "voter" for peer in peers):
        audit.violate("invalid-configuration", f"{what} has no voter: {_ids(peers)}")


def _ids(peers: Iterable[Peer]) -> str:
    return str([peer.id for peer in peers])
