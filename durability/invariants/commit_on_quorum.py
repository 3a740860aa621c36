"""P10, a leader commits what a quorum has made durable, and only entries of its own term.

Source: Raft paper, sections 5.3 and 5.4.2 (figure 8); openraft #1753.
Formal: Commit(L, t, i) by a leader => term(i) = t and |{v in voters(L): durable H_v(i) = H_L(i)}|
is a majority of voters(L); an acknowledgement to a client is of a committed entry.
Cost: O(voters) a commit.

A voter that is down counts with its disk, and one whose snapshot covers the index counts. So does
one that has lost the entry since, as long as it takes no part in elections (P20).
"""

from durability.invariants.events import Acknowledged, Committed, Event
from durability.invariants.property import Property
from durability.invariants.record import Record, is_quorum


class CommitOnQuorum(Property):
    """Learners are no voters, so they never count."""

    id = "P10"
    guarantee = (
        "a leader commits an entry of its own term once a majority of the voters has stored it, "
        "and earlier entries only with it"
    )
    watches = (Committed, Acknowledged)

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge each advance of a leader's commit index."""
        match event:
            case Acknowledged(index, term):
                if index > record.committed_index or record.committed[index][0] != term:
                    return f"entry {index} of term {term} was acknowledged and is not committed"
            case Committed(node, index) if record.node(node).is_leader():
                log = record.node(node)
                if index <= log.commit_index:
                    return None
                if log.term_at(index) != log.term:
                    return (
                        f"node {node}, leader of term {log.term}, committed entry {index} "
                        f"of term {log.term_at(index)} by counting"
                    )
                digest = log.digest(index)
                stored = frozenset(
                    voter
                    for voter in log.voters
                    if voter in record.nodes and record.was_stored(voter, index, digest)
                )
                if not is_quorum(stored, log.voters):
                    return (
                        f"node {node} committed entry {index}, which is durable on "
                        f"{sorted(stored)} of {sorted(log.voters)}"
                    )
        return None
