"""P12, one configuration change at a time.

Source: Ongaro 2014, section 4.1, and his correction of 2015 (raft-dev, 'bug in single-server
membership changes').
Formal: a leader of t appends a configuration at i => the configuration before is committed, an
entry of t is committed, and the voters of both differ by at most one.
Cost: O(voters) a change.
"""

from durability.invariants.events import Appended, Event, Returned
from durability.invariants.property import Property
from durability.invariants.record import NodeRecord, Record, voters
from raft.log_entry import EntryType, LogEntry


class OneConfiguration(Property):
    """Judged when the call ends, since what allows the change may be committed in the same call."""

    id = "P12"
    guarantee = (
        "a leader begins a change of configuration only after the one before, and an entry of its "
        "own term, are committed; it adds or removes one voter"
    )
    watches = (Appended, Returned)

    def __init__(self) -> None:
        self._pending: dict[int, tuple[LogEntry, NodeRecord, int]] = {}

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge a configuration that a leader appended."""
        match event:
            case Appended(node, entry) if entry.type is EntryType.CONFIGURATION:
                log = record.node(node)
                if not log.is_leader():
                    return None
                change = voters(entry.peers()) ^ log.voters
                if len(change) > 1:
                    return f"node {node} changed the voters {sorted(change)} in one step"
                self._pending[node] = (entry, log, log.configurations[-1][0])
            case Returned(node) if node in self._pending:
                entry, log, before_index = self._pending.pop(node)
                committed_term = log.term_at(min(log.commit_index, entry.index - 1))
                if before_index > log.commit_index:
                    return (
                        f"node {node} appended configuration {entry.index} while that of "
                        f"{before_index} was not committed"
                    )
                if committed_term is not None and committed_term < entry.term:
                    return (
                        f"node {node} appended configuration {entry.index} before an entry "
                        f"of its term {entry.term} was committed"
                    )
        return None
