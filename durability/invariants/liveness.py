"""P18, liveness: when the faults end, the group works again.

Source: Ongaro 2014, section 3.9; TigerBeetle's VOPR, which picks a core that is up.
Formal: Settled(nodes) => exactly one of them leads, it has committed an entry of its term, all of
them know the same committed log, everything acknowledged is in it.
Cost: O(nodes) at the end.

Within which time is the driver's to choose: it says when it has waited long enough.
"""

from durability.invariants.events import Acknowledged, Event, Settled
from durability.invariants.property import Property
from durability.invariants.record import Record


class Liveness(Property):
    """Judged once, at the end of a run."""

    id = "P18"
    guarantee = (
        "once a majority can communicate, it elects a leader, "
        "and every node comes to have every acknowledged command"
    )
    watches = (Acknowledged, Settled)

    def __init__(self) -> None:
        self._acknowledged = 0

    def judge(self, record: Record, event: Event) -> str | None:
        """Note what was acknowledged; judge the end."""
        match event:
            case Acknowledged(index):
                self._acknowledged = max(self._acknowledged, index)
            case Settled(nodes, ticks):
                logs = {node: record.node(node) for node in sorted(nodes)}
                leaders = [node for node, log in logs.items() if log.is_leader()]
                if len(leaders) != 1:
                    return f"{ticks} ticks after the last fault the leaders are {leaders}"
                leader = logs[leaders[0]]
                if leader.term_at(leader.commit_index) != leader.term:
                    return f"{ticks} ticks after the last fault node {leaders[0]} commits nothing"
                commits = {node: log.commit_index for node, log in logs.items()}
                if len(set(commits.values())) != 1:
                    return f"{ticks} ticks after the last fault the commit indexes are {commits}"
                index = record.committed_index
                if min(commits.values()) < max(index, self._acknowledged):
                    return f"entry {index} is committed, and no node knows it any more"
        return None
