"""P4, leader completeness.

Source: Raft paper, figure 3 and section 5.4.
Formal: BecomeLeader(n, t) => H_n(i) = committed(i) for the largest i committed by a leader of a
term below t; Commit(i) by the leader of t' => every leader of a later term has committed(i).
Cost: O(terms) an election, O(nodes) a commit.

Only terms *below* t: an election of an earlier term may complete after a newer leader has
committed, and that old leader, who can commit nothing any more, does no harm.
"""

from durability.invariants.events import Committed, Event, RoleChanged
from durability.invariants.property import Property
from durability.invariants.record import Record


class LeaderCompleteness(Property):
    """Judged at the election and at the commit: a late commit of a stale leader is found too."""

    id = "P4"
    guarantee = (
        "if an entry is committed in a given term, "
        "it is present in the logs of the leaders of all higher terms"
    )
    watches = (RoleChanged, Committed)

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge a new leader by what is committed, and a commit by the leaders there are."""
        match event:
            case RoleChanged(node, "leader", term):
                index = max(
                    (index for t, index in record.commit_index_of.items() if t < term), default=0
                )
                if not record.node(node).holds(index, record.committed[index][1]):
                    return (
                        f"node {node} became leader of term {term} without the committed "
                        f"entry {index} of term {record.committed[index][0]}"
                    )
            case Committed(node, index) if record.node(node).is_leader():
                leader = record.node(node)
                digest = leader.digest(index)
                for other, log in record.nodes.items():
                    later = log.is_leader() and log.term > leader.term
                    if later and not log.holds(index, digest):
                        return (
                            f"node {node} committed entry {index} in term {leader.term}, which "
                            f"node {other}, leader of term {log.term}, does not have"
                        )
        return None
