"""What the invariants are told: everything that a cluster does, in the order in which it happens.

Whoever drives the nodes tells it. One call of a node is told as

    Called, then what became durable in it (TermSaved, SnapshotSaved of another node's snapshot,
    Truncated, Appended), then what it said (RoleChanged, Committed, Applied, Sent, ReadServed),
    then SnapshotSaved of its own snapshot, then Progress, then Returned.

'Saved', 'Appended' and 'Truncated' mean durable: no crash of this node undoes it. `node`, `sender`,
`receiver`, `peer` and `client` are ids; terms and indexes are the protocol's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from raft.log_entry import LogEntry
from raft.message import Message
from raft.peer import Peer

Cause = Message | Literal["tick", "request"]
Role = Literal["follower", "pre-candidate", "candidate", "leader"]


@dataclass(slots=True)
class SnapshotPoint:
    """Up to where a snapshot stands for the log; index 0 where there is none."""

    index: int = 0
    term: int = 0
    peers: tuple[Peer, ...] = ()


@dataclass(slots=True)
class Started:
    """A node began to run, with what it recovered. `peers` is the configuration that it uses.

    `lost` says that its disk has lost what was durable: it rotted, was wiped, or was rolled back.
    """

    node: int
    term: int
    voted_for: int | None
    snapshot: SnapshotPoint
    entries: Sequence[LogEntry]
    peers: tuple[Peer, ...]
    lost: bool = False


@dataclass(slots=True)
class Stopped:
    """A node does not run any more. Its disk stays."""

    node: int


@dataclass(slots=True)
class Called:
    """A call of a node begins: a message is delivered, a tick passes, or something is requested."""

    node: int
    cause: Cause


@dataclass(slots=True)
class TermSaved:
    """A term and the vote in it became durable."""

    node: int
    term: int
    voted_for: int | None


@dataclass(slots=True)
class SnapshotSaved:
    """A snapshot became durable, and stands for the log up to its index."""

    node: int
    snapshot: SnapshotPoint


@dataclass(slots=True)
class Truncated:
    """The entries from `first_index` on are gone from the log."""

    node: int
    first_index: int


@dataclass(slots=True)
class Appended:
    """An entry became durable."""

    node: int
    entry: LogEntry


@dataclass(slots=True)
class RoleChanged:
    """A node has this role now."""

    node: int
    role: Role
    term: int


@dataclass(slots=True)
class Committed:
    """A node knows that the log is committed up to `index`."""

    node: int
    index: int


@dataclass(slots=True)
class Applied:
    """A command was given to the state machine, or was recognised as a repetition (not `fresh`).

    `state_digest` stands for the state after it and the results on the way there; `request` is the
    client's id and its number for the command, None for a command outside of any session.
    """

    node: int
    index: int
    state_digest: bytes
    request: tuple[int, int] | None = None
    fresh: bool = True


@dataclass(slots=True)
class StateRestored:
    """A state machine was replaced by a snapshot's; the last command in it was that of `index`."""

    node: int
    index: int
    state_digest: bytes


@dataclass(slots=True)
class Sent:
    """A message left a node."""

    node: int
    receiver: int
    message: Message


@dataclass(slots=True)
class ReadInvoked:
    """A client asked a node for a linearizable read."""

    node: int
    request: int


@dataclass(slots=True)
class ReadServed:
    """The node answers it from its state machine, having fixed `index` as the least to apply."""

    node: int
    request: int
    index: int


@dataclass(slots=True)
class Acknowledged:
    """A client was told that the command of this index and term is committed."""

    index: int
    term: int


@dataclass(slots=True)
class Progress:
    """What a leader knows of a peer has changed."""

    node: int
    peer: int
    match_index: int
    next_index: int


@dataclass(slots=True)
class Returned:
    """A call of a node ended, and this is what it says of itself."""

    node: int
    term: int
    snapshot_index: int
    last_applied: int
    commit_index: int
    durable_index: int
    last_index: int
    peers: tuple[Peer, ...]


@dataclass(slots=True)
class Settled:
    """All faults ended long ago, and these nodes, a quorum among them, have run since."""

    nodes: frozenset[int]
    ticks: int


Event = (
    Started
    | Stopped
    | Called
    | TermSaved
    | SnapshotSaved
    | Truncated
    | Appended
    | RoleChanged
    | Committed
    | Applied
    | StateRestored
    | Sent
    | ReadInvoked
    | ReadServed
    | Acknowledged
    | Progress
    | Returned
    | Settled
)
