"""What can be done to a cluster. A run is the list of its actions, and can be done again.

Any action may be performed in any state: one that makes no sense then (a tick of a node that is
down, a message that was never sent) does nothing. So a shorter list is a run too, which is what
makes a failing one small. Lost and late messages are no actions: they are not delivered, or later.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tick:
    """Let a tick pass for a node."""

    node: int


@dataclass(frozen=True, slots=True)
class Deliver:
    """Deliver the message that was the `ordinal`-th on its way, from 0; keep it for `again`."""

    sender: int
    receiver: int
    ordinal: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class Propose:
    """Propose a command to a node; one that does not lead refuses it."""

    node: int
    command: bytes


@dataclass(frozen=True, slots=True)
class Read:
    """Ask a node for a linearizable read."""

    node: int


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """Have a node take a snapshot and compact its log."""

    node: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Have a node hand its leadership to another."""

    node: int
    receiver: int


@dataclass(frozen=True, slots=True)
class AddLearner:
    """Have a node add another to the group, as a learner."""

    node: int
    peer: int


@dataclass(frozen=True, slots=True)
class RemovePeer:
    """Have a node remove another from the group."""

    node: int
    peer: int


@dataclass(frozen=True, slots=True)
class Crash:
    """End a node: at once, or in its disk operation after so many more.

    A kill loses nothing that it had written. A power cut loses what it had not synced, but for what
    `survivors`, if given, draws under the persistence model of the run.
    """

    node: int
    power_cut: bool = False
    operations: int | None = None
    survivors: int | None = None


@dataclass(frozen=True, slots=True)
class Restart:
    """Start a node that is down, on what its disk holds."""

    node: int


@dataclass(frozen=True, slots=True)
class Rot:
    """Flip a bit on the disk of a node that is down, in what was known to be durable.

    `bit` is its number there, modulo how many there are.
    """

    node: int
    bit: int


Request = Propose | Read | TakeSnapshot | Transfer | AddLearner | RemovePeer
"""What is asked of a running node from outside."""

Action = Tick | Deliver | Crash | Restart | Rot | Request
