"""P23, a client's command takes effect exactly once.

Source: Raft paper, section 8; Ongaro 2014, section 6.3.
Formal: Apply(n, i) of request (client, number), fresh => effect_of(client, number) in {none, i};
not fresh => it has an effect already, at a lower index.
Cost: O(1) an event.

It holds across snapshots and restarts only if the session table travels with the snapshot.
"""

from durability.invariants.events import Applied, Event
from durability.invariants.property import Property
from durability.invariants.record import Record


class ExactlyOnce(Property):
    """Commands outside of a session may be applied again: nobody can recognise them."""

    id = "P23"
    guarantee = "a command that a client repeats is executed exactly once"
    watches = (Applied,)

    def __init__(self) -> None:
        self._effect_of: dict[tuple[int, int], int] = {}

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge where each request takes effect."""
        match event:
            case Applied(node, index, _, (client, number), fresh):
                if fresh:
                    first = self._effect_of.setdefault((client, number), index)
                    if first != index:
                        return (
                            f"node {node} executed request {number} of client {client} at "
                            f"{index}; it took effect at {first}"
                        )
                elif self._effect_of.get((client, number), index) >= index:
                    return (
                        f"node {node} took request {number} of client {client} at {index} for "
                        "a repetition, and it never took effect"
                    )
        return None
