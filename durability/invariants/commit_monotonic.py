"""P6, commits are monotonic and immutable.

Source: Raft paper, sections 5.3 and 5.4; CCF's raft spec, property MonotonicCommit.
Formal: within a life, commit' >= commit and commit' <= last; committed(i) never changes; who is not
the leader commits nothing that no leader committed; no message claims more than is committed.
Cost: O(1) an event.
"""

from durability.invariants.events import Committed, Event, Sent
from durability.invariants.property import Property
from durability.invariants.record import Record
from raft.message import MessageType


class CommitMonotonic(Property):
    """A life begins with the snapshot's index: what is committed need not be durable knowledge."""

    id = "P6"
    guarantee = "what is committed stays committed, and is the same on every node"
    watches = (Committed, Sent)

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge each advance of a commit index."""
        match event:
            case Committed(node, index):
                log = record.node(node)
                if index < log.commit_index:
                    return f"node {node}'s commit index fell from {log.commit_index} to {index}"
                if index > log.last_index:
                    return f"node {node} committed entry {index}; its log ends at {log.last_index}"
                known = min(index, record.committed_index)
                if not log.holds(known, record.committed[known][1]):
                    return f"node {node} committed up to {index}, with another entry at {known}"
                if index > record.committed_index and not log.is_leader():
                    return f"node {node} committed entry {index} before any leader did"
            case Sent(node, _, message) if message.type is MessageType.APPEND_ENTRIES:
                if message.commit_index > record.committed_index:
                    return (
                        f"node {node} told of commit index {message.commit_index}; "
                        f"{record.committed_index} is committed"
                    )
        return None
