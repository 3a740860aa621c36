"""P15, terms and matches only rise, and roles change as in figure 4.

Source: Raft paper, figures 2 and 4.
Formal: durable term' >= term, restarts included; match'[p] >= match[p] within one leadership,
unless p was removed and added again, or has lost its log; next > match; a role changes to itself,
to follower, or by follower -> pre-candidate -> candidate -> leader, follower -> candidate,
candidate -> pre-candidate.
Cost: O(1) an event.

A peer that came back with a part of its log lost holds less than it did, and the leader may say so.
A term that was neither durable nor sent may be forgotten. Follower to candidate is what TimeoutNow
does, and every group without pre-vote.
"""

from durability.invariants.events import Event, Progress, RoleChanged, Started, TermSaved
from durability.invariants.property import Property
from durability.invariants.record import Record

_LEGAL = {
    ("follower", "pre-candidate"),
    ("follower", "candidate"),
    ("pre-candidate", "candidate"),
    ("candidate", "pre-candidate"),
    ("candidate", "leader"),
}


class MonotonicState(Property):
    """A peer that was removed and added again, or has lost its log, begins anew."""

    id = "P15"
    guarantee = "terms and a leader's matches only rise, and nobody leads without having stood"
    watches = (Started, TermSaved, RoleChanged, Progress)

    def __init__(self) -> None:
        self._match: dict[tuple[int, int, int], tuple[int, int]] = {}

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge a new term, role or match against the one before."""
        match event:
            case Started(node, lost=True):
                self._match = {key: match for key, match in self._match.items() if key[1] != node}
            case Started(node, term, lost=False) if node in record.nodes:
                if term < record.node(node).term:
                    return (
                        f"node {node}'s durable term fell from {record.node(node).term} to {term}"
                    )
            case TermSaved(node, term, _):
                if term < record.node(node).term:
                    return f"node {node}'s term fell from {record.node(node).term} to {term}"
            case RoleChanged(node, role, _):
                before = record.node(node).role
                if role not in ("follower", before) and (before, role) not in _LEGAL:
                    return f"node {node} went from {before} to {role}"
            case Progress():
                return self._judge_progress(record, event)
        return None

    def _judge_progress(self, record: Record, event: Progress) -> str | None:
        log = record.node(event.node)
        key = (event.node, event.peer, log.term)
        # The configuration that the match was learnt under: a later one may have the peer anew.
        configuration = log.configurations[-1][0]
        before, learnt_under = self._match.get(key, (0, configuration))
        self._match[key] = (event.match_index, configuration)
        if event.next_index <= event.match_index:
            return (
                f"node {event.node} would send node {event.peer} entry {event.next_index} "
                f"though it has up to {event.match_index}"
            )
        if event.match_index < before and learnt_under == configuration:
            return (
                f"node {event.node}'s match of node {event.peer} fell "
                f"from {before} to {event.match_index}"
            )
        return None
