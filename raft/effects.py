"""What a node asks of its caller, in the order in which it happened.

An effect exists only when everything that it reveals is durable.
"""

from dataclasses import dataclass

from raft.election import Role
from raft.message import Message


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


Effect = SendMessage | RoleChanged | Applied
