"""P3, log matching.

Source: Raft paper, figure 3 and section 5.3.
Formal: entry (i, t) in the log of m and of n => H_m(i) = H_n(i), for every log that ever was, the
recovered and the compacted ones included, and what a leader has sent of its log.
Cost: O(1) an entry.
"""

from collections.abc import Iterable

from durability.invariants.events import Appended, Event, SnapshotPoint, SnapshotSaved, Started
from durability.invariants.property import Property
from durability.invariants.record import EMPTY, Digest, Record, prefix_digest
from raft.log_entry import LogEntry


class LogMatching(Property):
    """A snapshot must be one of an entry that some log had; its content is P19's business."""

    id = "P3"
    guarantee = (
        "if two logs contain an entry with the same index and term, "
        "the logs are identical in all entries up through that index"
    )
    watches = (Started, Appended, SnapshotSaved)

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge every entry that a log gets, is found to have, or has a snapshot in place of."""
        match event:
            case Started(node, entries=entries, snapshot=snapshot):
                return _judge_snapshot(record, node, snapshot) or _judge_entries(
                    record, node, record.digest_of.get((snapshot.index, snapshot.term)), entries
                )
            case SnapshotSaved(node, snapshot):
                return _judge_snapshot(record, node, snapshot)
            case Appended(node, entry):
                log = record.node(node)
                return _judge_entries(record, node, log.digest(log.last_index), (entry,))
        return None


def _judge_snapshot(record: Record, node: int, snapshot: SnapshotPoint) -> str | None:
    if (snapshot.index, snapshot.term) in record.digest_of:
        return None
    return (
        f"node {node} has a snapshot of entry {snapshot.index} of term {snapshot.term}, "
        "which no log ever had"
    )


def _judge_entries(
    record: Record, node: int, digest: Digest | None, entries: Iterable[LogEntry]
) -> str | None:
    for entry in entries:
        digest = prefix_digest(digest or EMPTY, entry)
        if record.digest_of.get((entry.index, entry.term), digest) != digest:
            return (
                f"node {node} has an entry {entry.index} of term {entry.term} that differs from "
                "another node's, itself or in what precedes it"
            )
    return None
