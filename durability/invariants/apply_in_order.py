"""P14, commands are applied once, in order, without a gap.

Source: Raft paper, section 5.3 and figure 2 (lastApplied).
Formal: Apply(n, i) => i > applied(n), and no entry between is a command; a life begins at the
snapshot's index.
Cost: O(1) an entry.
"""

from durability.invariants.events import Applied, Event
from durability.invariants.property import Property
from durability.invariants.record import Record


class ApplyInOrder(Property):
    """Entries of the log's own - no-ops, configurations - are no commands."""

    id = "P14"
    guarantee = "each command is applied exactly once, in the order of the log"
    watches = (Applied,)

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge which command is applied next."""
        match event:
            case Applied(node, index):
                log = record.node(node)
                if index <= log.last_applied:
                    return f"node {node} applied entry {index} after entry {log.last_applied}"
                skipped = log.first_command(log.last_applied, index - 1)
                if skipped is not None:
                    return f"node {node} applied entry {index} and left out {skipped}"
        return None
