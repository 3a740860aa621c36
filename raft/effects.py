"""What a node asks of its caller, in the order in which it happened.

An effect exists only when everything that it promises is durable.
"""

from dataclasses import dataclass

from raft.election import Role
from raft.message import Message
from raft.peer import Peer


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Deliver the message to a node, or lose it."""

    receiver: int
    message: Message


@dataclass(frozen=True, slots=True)
class RoleChanged:
    """The node has a new role, in this term."""

    role: Role
    term: int


@dataclass(frozen=True, slots=True)
class Applied:
    """A command was committed and applied; `result` is what the state machine returned."""

    index: int
    term: int
    result: object


@dataclass(frozen=True, slots=True)
class ConfigurationChanged:
    """The configuration of the entry at `index` is in effect, or, then in effect, is committed.

    Only a committed one is final: another comes out, of a lower index, where an entry is truncated.
    """

    index: int
    peers: tuple[Peer, ...]
    committed: bool


@dataclass(frozen=True, slots=True)
class SnapshotInstalled:
    """The state machine was replaced by a leader's, as of the entry at `index`.

    What was applied up to there is not told: a proposal of an index in between is lost or not.
    """

    index: int
    term: int


@dataclass(frozen=True, slots=True)
class ReadReady:
    """The state machine, as it is now, answers the read that was asked for with this context.

    It has applied every entry up to `index`, and with that every write that was acknowledged
    anywhere before the read was asked for.
    """

    context: object
    index: int


@dataclass(frozen=True, slots=True)
class ReadAborted:
    """The read with this context was not answered, and will not be: the node leads no more."""

    context: object


Effect = (
    SendMessage
    | RoleChanged
    | Applied
    | ConfigurationChanged
    | SnapshotInstalled
    | ReadReady
    | ReadAborted
)
