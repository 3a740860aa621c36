"""What the log is for: the application's state machine, as the node sees it."""

from collections.abc import Iterable, Iterator
from typing import Protocol


class StateMachine(Protocol):
    """Deterministic: equal commands in equal order make equal states, on every node.

    The node calls it in the middle of `Node.propose`, `Node.tick` and `Node.step`, so a slow method
    holds up the whole group. An exception that a method raises stops the node: which half of the
    command took effect is not known.
    """

    def apply(self, index: int, command: bytes) -> object:
        """Apply the command of the entry at `index`; what is returned goes to who proposed it.

        Indexes rise, with gaps where the log has entries of its own. Each is applied once, in this
        life of the process or before the snapshot that it began with.
        """

    def snapshot(self) -> Iterable[bytes]:
        """Say the whole state in chunks, which are read at once and written as they come."""

    def restore(self, chunks: Iterator[bytes]) -> None:
        """Replace the state by a snapshot's. The chunks are cut elsewhere than they were."""
