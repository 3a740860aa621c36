"""The log: what is stored, committed and applied, and on how many disks."""

from durability.invariants.apply_in_order import ApplyInOrder
from durability.invariants.commit_monotonic import CommitMonotonic
from durability.invariants.commit_on_quorum import CommitOnQuorum
from durability.invariants.equal_states import EqualStates
from durability.invariants.events import (
    Acknowledged,
    Appended,
    Applied,
    Committed,
    Event,
    SnapshotPoint,
    SnapshotSaved,
    StateRestored,
    Stopped,
    TermSaved,
    Truncated,
)
from durability.invariants.leader_append_only import LeaderAppendOnly
from durability.invariants.log_matching import LogMatching
from durability.invariants.state_machine_safety import StateMachineSafety
from raft.message import MessageType
from tests.durability.invariants.control import Control
from tests.durability.invariants.sequences import (
    FOUNDATION,
    PEERS,
    appended,
    command,
    committed_by_first_leader,
    group,
    leads,
    sends,
    sent,
    started,
)

APPEND = MessageType.APPEND_ENTRIES


def two_commands_on_two_nodes() -> list[Event]:
    return [
        *group(),
        *leads(1, 2),
        *appended((1, 2), command(2, 2), command(2, 3)),
        Committed(1, 3),
    ]


LOG_CONTROLS = {
    "P2 a leader truncates; one that has entered a later term is none": Control(
        LeaderAppendOnly,
        [*group(), *leads(1, 2), *appended((1,), command(2, 2))],
        [TermSaved(1, 3, None), Truncated(1, 2)],
        [Truncated(1, 2)],
    ),
    "P2 a hole": Control(
        LeaderAppendOnly,
        group(),
        [Appended(1, command(2, 2))],
        [Appended(1, command(2, 3))],
    ),
    "P3 two contents of one entry": Control(
        LogMatching,
        [*group(), Appended(1, command(2, 2, b"a"))],
        [Appended(2, command(2, 2, b"a"))],
        [Appended(2, command(2, 2, b"b"))],
    ),
    "P3 the same entry after another one": Control(
        LogMatching,
        [*group(), *appended((1,), command(2, 2), command(3, 3)), Appended(2, command(1, 2))],
        [Truncated(2, 2), *appended((2,), command(2, 2), command(3, 3))],
        [Appended(2, command(3, 3))],
    ),
    "P3 another entry than the leader sent, before it is durable there": Control(
        LogMatching,
        [*group(), *leads(1, 2), sends(1, 2, (1, 1), command(2, 2, b"a"))],
        [Appended(2, command(2, 2, b"a"))],
        [Appended(2, command(2, 2, b"b"))],
    ),
    "P3 a recovered log that was never written": Control(
        LogMatching,
        [*group(), Appended(1, command(2, 2, b"a")), Stopped(1)],
        [started(1, FOUNDATION, command(2, 2, b"a"))],
        [started(1, FOUNDATION, command(2, 2, b"?"))],
    ),
    "P3 a snapshot of an entry that never was": Control(
        LogMatching,
        [*group(), Appended(1, command(2, 2))],
        [SnapshotSaved(2, SnapshotPoint(2, 2, PEERS))],
        [SnapshotSaved(2, SnapshotPoint(2, 9, PEERS))],
    ),
    "P5 applying what is not committed": Control(
        StateMachineSafety,
        [*committed_by_first_leader(), *appended((1,), command(2, 3))],
        [Applied(1, 2, b"")],
        [Applied(1, 3, b"")],
    ),
    "P5 applying another entry than the committed one": Control(
        StateMachineSafety,
        [*committed_by_first_leader(), Appended(3, command(1, 2))],
        [Truncated(3, 2), Appended(3, command(2, 2)), Applied(3, 2, b"")],
        [Applied(3, 2, b"")],
    ),
    "P6 a commit index that falls": Control(
        CommitMonotonic,
        two_commands_on_two_nodes(),
        [Committed(2, 2), Committed(2, 3)],
        [Committed(2, 3), Committed(2, 2)],
    ),
    "P6 a commit index beyond the log": Control(
        CommitMonotonic, two_commands_on_two_nodes(), [Committed(2, 3)], [Committed(3, 3)]
    ),
    "P6 a follower that commits first": Control(
        CommitMonotonic,
        [*group(), *leads(1, 2), *appended((1, 2), command(2, 2))],
        [Committed(1, 2), Committed(2, 2)],
        [Committed(2, 2)],
    ),
    "P6 a message that claims too much": Control(
        CommitMonotonic,
        committed_by_first_leader(),
        [sent(1, 3, APPEND, 2, commit_index=2)],
        [sent(1, 3, APPEND, 2, commit_index=3)],
    ),
    "P10 without a majority": Control(
        CommitOnQuorum,
        [*group(), *leads(1, 2), *appended((1,), command(2, 2))],
        [Appended(3, command(2, 2)), Committed(1, 2)],
        [Committed(1, 2)],
    ),
    "P10 an entry of an earlier term by counting (figure 8)": Control(
        CommitOnQuorum,
        [*group(), *appended((1, 2), command(2, 2)), *leads(1, 4)],
        [*appended((1, 2), command(4, 3)), Committed(1, 3)],
        [Committed(1, 2)],
    ),
    "P10 the leader counts once it is durable there": Control(
        CommitOnQuorum,
        [*group(), *leads(1, 2), sends(1, 2, (1, 1), command(2, 2)), Appended(2, command(2, 2))],
        [Appended(1, command(2, 2)), Committed(1, 2)],
        [Committed(1, 2)],
    ),
    "P10 a learner counts for nothing": Control(
        CommitOnQuorum,
        [*group(1, 2, 3, 4), *leads(1, 2), *appended((1,), command(2, 2))],
        [Appended(2, command(2, 2)), Committed(1, 2)],
        [Appended(4, command(2, 2)), Committed(1, 2)],
    ),
    "P10 an acknowledgement of what is not committed": Control(
        CommitOnQuorum, committed_by_first_leader(), [Acknowledged(2, 2)], [Acknowledged(2, 3)]
    ),
    "P14 twice": Control(
        ApplyInOrder,
        [*two_commands_on_two_nodes(), Applied(1, 2, b"")],
        [Applied(1, 3, b"")],
        [Applied(1, 2, b"")],
    ),
    "P14 a gap": Control(
        ApplyInOrder, two_commands_on_two_nodes(), [Applied(1, 2, b"")], [Applied(1, 3, b"")]
    ),
    "P19 two states at one index": Control(
        EqualStates, [*group(), Applied(1, 2, b"a")], [Applied(2, 2, b"a")], [Applied(2, 2, b"b")]
    ),
    "P19 a snapshot of another state": Control(
        EqualStates,
        [*group(), Applied(1, 2, b"a")],
        [StateRestored(3, 2, b"a")],
        [StateRestored(3, 2, b"b")],
    ),
}
