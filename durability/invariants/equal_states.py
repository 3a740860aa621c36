"""P19, equal positions are equal states.

Source: Raft paper, section 2 (replicated state machines); design, 'properties, corrected'.
Formal: state_m after i = state_n after i, across snapshots and restarts.
Cost: O(1) an event: the digest is of the state before, the command and its result.
"""

from durability.invariants.events import Applied, Event, StateRestored
from durability.invariants.property import Property
from durability.invariants.record import Record


class EqualStates(Property):
    """Also finds a state machine that is not deterministic."""

    id = "P19"
    guarantee = "state machines that have applied the same commands are in the same state"
    watches = (Applied, StateRestored)

    def __init__(self) -> None:
        self._first: dict[int, tuple[bytes, int]] = {}

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge the state after each command, and each state that came with a snapshot."""
        match event:
            case Applied(node, index, digest) | StateRestored(node, index, digest):
                first, other = self._first.setdefault(index, (digest, node))
                if first != digest:
                    return f"node {node}'s state after entry {index} differs from node {other}'s"
        return None
