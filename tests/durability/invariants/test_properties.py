"""Each property's controls: a sequence that keeps it, and one that differs and breaks it."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from durability.invariants.apply_in_order import ApplyInOrder
from durability.invariants.commit_monotonic import CommitMonotonic
from durability.invariants.commit_on_quorum import CommitOnQuorum
from durability.invariants.durable_before_visible import DurableBeforeVisible
from durability.invariants.effective_configuration import EffectiveConfiguration
from durability.invariants.election_safety import ElectionSafety
from durability.invariants.equal_states import EqualStates
from durability.invariants.events import (
    Acknowledged,
    Appended,
    Applied,
    Called,
    Committed,
    Event,
    Progress,
    ReadInvoked,
    ReadServed,
    RoleChanged,
    Settled,
    SnapshotPoint,
    SnapshotSaved,
    StateRestored,
    Stopped,
    TermSaved,
    Truncated,
)
from durability.invariants.exactly_once import ExactlyOnce
from durability.invariants.leader_append_only import LeaderAppendOnly
from durability.invariants.leader_completeness import LeaderCompleteness
from durability.invariants.liveness import Liveness
from durability.invariants.log_matching import LogMatching
from durability.invariants.lost_data import LostData
from durability.invariants.monotonic_state import MonotonicState
from durability.invariants.nothing_forgotten import NothingForgotten
from durability.invariants.observer import Observer, all_properties
from durability.invariants.one_configuration import OneConfiguration
from durability.invariants.pre_vote import PreVote
from durability.invariants.property import Property
from durability.invariants.read_index import ReadIndex
from durability.invariants.sometimes import SITUATIONS, Sometimes
from durability.invariants.stable_leader import StableLeader
from durability.invariants.state_machine_safety import StateMachineSafety
from durability.invariants.state_ordering import StateOrdering
from durability.invariants.vote_once import VoteOnce
from raft.message import MessageType
from tests.durability.invariants.sequences import (
    FOUNDATION,
    PEERS,
    appended,
    command,
    committed_by_first_leader,
    configuration,
    group,
    leads,
    returned,
    sent,
    started,
    voters,
)

APPEND = MessageType.APPEND_ENTRIES
APPEND_RESPONSE = MessageType.APPEND_ENTRIES_RESPONSE
REQUEST_VOTE = MessageType.REQUEST_VOTE
VOTE = MessageType.REQUEST_VOTE_RESPONSE
PRE_VOTE = MessageType.PRE_VOTE
PRE_VOTE_RESPONSE = MessageType.PRE_VOTE_RESPONSE


@dataclass(frozen=True)
class Control:
    """After `before`, `good` is silent and `bad` breaks the property with its last event."""

    make: Callable[[], Property]
    before: list[Event]
    good: list[Event]
    bad: list[Event]


def two_commands_on_two_nodes() -> list[Event]:
    return [
        *group(),
        *leads(1, 2),
        *appended((1, 2), command(2, 2), command(2, 3)),
        Committed(1, 3),
    ]


def grant(sender: int, receiver: int, term: int) -> Called:
    return Called(receiver, sent(sender, receiver, PRE_VOTE_RESPONSE, term, success=1).message)


CONTROLS = {
    "P1 a second leader of a term, after the first has crashed": Control(
        ElectionSafety,
        [*group(), *leads(1, 2), Stopped(1)],
        [RoleChanged(2, "leader", 3)],
        [RoleChanged(2, "leader", 2)],
    ),
    "P1 a leader's message from who does not lead": Control(
        ElectionSafety,
        [*group(), *leads(1, 2)],
        [sent(1, 2, APPEND, 2)],
        [sent(3, 2, APPEND, 2)],
    ),
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
    "P4 a new leader without a committed entry": Control(
        LeaderCompleteness,
        [*committed_by_first_leader(), TermSaved(2, 3, 2), TermSaved(3, 3, 3)],
        [RoleChanged(2, "leader", 3)],
        [RoleChanged(3, "leader", 3)],
    ),
    "P4 a stale leader commits what a later leader lacks": Control(
        LeaderCompleteness,
        [*group(), *leads(1, 2), *appended((1, 2), command(2, 2)), *leads(3, 3)],
        [Stopped(3), Committed(1, 2)],
        [Committed(1, 2)],
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
    "P7 two votes in a term": Control(
        VoteOnce,
        [*group(), sent(2, 1, VOTE, 2, success=1)],
        [sent(2, 1, VOTE, 2, success=1), sent(2, 3, VOTE, 3, success=1)],
        [sent(2, 3, VOTE, 2, success=1)],
    ),
    "P7 a vote for another after standing oneself": Control(
        VoteOnce,
        [*group(), sent(2, 1, REQUEST_VOTE, 2)],
        [sent(2, 1, VOTE, 2)],
        [sent(2, 1, VOTE, 2, success=1)],
    ),
    "P7 a durable vote that changes": Control(
        VoteOnce, [*group(), TermSaved(1, 2, 2)], [TermSaved(1, 3, 3)], [TermSaved(1, 2, 3)]
    ),
    "P8 a term before it is durable; a pre-vote's is nobody's": Control(
        DurableBeforeVisible, group(), [sent(1, 2, PRE_VOTE, 2)], [sent(1, 2, APPEND_RESPONSE, 2)]
    ),
    "P8 a vote before it is durable": Control(
        DurableBeforeVisible,
        [*group(), TermSaved(2, 2, None)],
        [TermSaved(2, 2, 1), sent(2, 1, VOTE, 2, success=1)],
        [sent(2, 1, VOTE, 2, success=1)],
    ),
    "P8 an acknowledgement before the entry is durable": Control(
        DurableBeforeVisible,
        [*group(), Appended(2, command(1, 2))],
        [sent(2, 1, APPEND_RESPONSE, 1, success=1, last_log_index=2)],
        [sent(2, 1, APPEND_RESPONSE, 1, success=1, last_log_index=3)],
    ),
    "P8 an acknowledgement of another entry than the leader's": Control(
        DurableBeforeVisible,
        [
            *group(),
            *leads(1, 2),
            *appended((1,), command(2, 2)),
            TermSaved(2, 2, 1),
            Appended(2, command(1, 2)),
        ],
        [sent(2, 1, APPEND_RESPONSE, 2, success=1, last_log_index=1)],
        [sent(2, 1, APPEND_RESPONSE, 2, success=1, last_log_index=2)],
    ),
    "P9 a term that is forgotten": Control(
        NothingForgotten,
        [*group(), TermSaved(1, 5, None), sent(1, 2, APPEND_RESPONSE, 5), Stopped(1)],
        [started(1, FOUNDATION, term=5)],
        [started(1, FOUNDATION, term=4)],
    ),
    "P9 a vote that is forgotten": Control(
        NothingForgotten,
        [*group(), TermSaved(2, 2, 1), sent(2, 1, VOTE, 2, success=1), Stopped(2)],
        [started(2, FOUNDATION, term=2, voted_for=1)],
        [started(2, FOUNDATION, term=2)],
    ),
    "P9 an acknowledged entry that is forgotten": Control(
        NothingForgotten,
        [
            *group(),
            Appended(2, command(1, 2)),
            sent(2, 1, APPEND_RESPONSE, 1, success=1, last_log_index=2),
        ],
        [Truncated(2, 2), Stopped(2), started(2, FOUNDATION)],
        [Stopped(2), started(2, FOUNDATION)],
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
    "P10 a learner counts for nothing": Control(
        CommitOnQuorum,
        [*group(1, 2, 3, 4), *leads(1, 2), *appended((1,), command(2, 2))],
        [Appended(2, command(2, 2)), Committed(1, 2)],
        [Appended(4, command(2, 2)), Committed(1, 2)],
    ),
    "P10 an acknowledgement of what is not committed": Control(
        CommitOnQuorum, committed_by_first_leader(), [Acknowledged(2, 2)], [Acknowledged(2, 3)]
    ),
    "P11 a pre-vote that raises a term": Control(
        PreVote,
        [*group(), Called(2, sent(1, 2, PRE_VOTE, 2).message)],
        [returned(2)],
        [TermSaved(2, 2, None)],
    ),
    "P11 a rejection raises to the rejecter's term, and no further": Control(
        PreVote,
        [*group(), Called(1, sent(2, 1, PRE_VOTE_RESPONSE, 7).message)],
        [TermSaved(1, 7, None)],
        [TermSaved(1, 8, None)],
    ),
    "P11 a candidate whom nobody would elect": Control(
        PreVote,
        [*group(), Called(1, "tick")],
        [grant(2, 1, 2), RoleChanged(1, "candidate", 2)],
        [RoleChanged(1, "candidate", 2)],
    ),
    "P11 only TimeoutNow needs no pre-vote": Control(
        PreVote,
        group(),
        [Called(1, sent(2, 1, MessageType.TIMEOUT_NOW, 1).message), RoleChanged(1, "candidate", 2)],
        [Called(1, sent(2, 1, APPEND, 1).message), RoleChanged(1, "candidate", 2)],
    ),
    "P12 two configurations at a time": Control(
        OneConfiguration,
        [*committed_by_first_leader(), Appended(1, configuration(2, 3, 1, 2, 3, 4))],
        [Appended(2, configuration(2, 3, 1, 2, 3, 4)), returned(1)],
        [returned(1), Appended(1, configuration(2, 4, 1, 2, 3, 4, 5)), returned(1)],
    ),
    "P12 a configuration before an entry of the term is committed": Control(
        OneConfiguration,
        [*group(), Committed(1, 1), *leads(1, 2), *appended((1, 2), command(2, 2))],
        [Committed(1, 2), Appended(1, configuration(2, 3, 1, 2)), returned(1)],
        [Appended(1, configuration(2, 3, 1, 2)), returned(1)],
    ),
    "P12 two voters in one step": Control(
        OneConfiguration,
        committed_by_first_leader(),
        [Appended(1, configuration(2, 3, 1, 2))],
        [Appended(1, configuration(2, 3, 1))],
    ),
    "P13 a read of what was before": Control(
        ReadIndex,
        [*committed_by_first_leader(), ReadInvoked(1, 7), Applied(1, 2, b"")],
        [ReadServed(1, 7, 2)],
        [ReadServed(1, 7, 1)],
    ),
    "P13 a read of a state that is behind": Control(
        ReadIndex,
        [*committed_by_first_leader(), ReadInvoked(1, 7)],
        [Applied(1, 2, b""), ReadServed(1, 7, 2)],
        [ReadServed(1, 7, 2)],
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
    "P15 a term that falls": Control(
        MonotonicState,
        [*group(), TermSaved(1, 5, None)],
        [TermSaved(1, 6, None)],
        [TermSaved(1, 4, None)],
    ),
    "P15 a term that falls over a restart": Control(
        MonotonicState,
        [*group(), TermSaved(1, 5, None), Stopped(1)],
        [started(1, FOUNDATION, term=5)],
        [started(1, FOUNDATION, term=4)],
    ),
    "P15 a leader that never stood": Control(
        MonotonicState,
        group(),
        [RoleChanged(1, "candidate", 2), RoleChanged(1, "leader", 2)],
        [RoleChanged(1, "leader", 2)],
    ),
    "P15 a match that falls; a peer that is added anew begins at 0": Control(
        MonotonicState,
        [*committed_by_first_leader(), Progress(1, 2, 2, 3)],
        [Appended(1, configuration(2, 3, 1, 3)), Progress(1, 2, 0, 4)],
        [Progress(1, 2, 1, 3)],
    ),
    "P15 sending what the peer has": Control(
        MonotonicState, group(), [Progress(1, 2, 3, 4)], [Progress(1, 2, 3, 3)]
    ),
    "P16 applied beyond the commit index": Control(
        StateOrdering,
        group(),
        [returned(1, snapshot=1, applied=2, commit=3, last=4)],
        [returned(1, snapshot=1, applied=3, commit=2, last=4)],
    ),
    "P16 durable beyond the log": Control(
        StateOrdering, group(), [returned(1, durable=1)], [returned(1, durable=2)]
    ),
    "P16 an entry of a term that has not come": Control(
        StateOrdering,
        [*group(), Appended(1, command(3, 2))],
        [returned(1, term=3, last=2)],
        [returned(1, term=2, last=2)],
    ),
    "P18 nobody leads": Control(
        Liveness,
        committed_by_first_leader(),
        [Committed(2, 2), Settled(frozenset({1, 2}), 100)],
        [Committed(2, 2), Settled(frozenset({2}), 100)],
    ),
    "P18 a leader that commits nothing": Control(
        Liveness,
        [*group(), *leads(1, 2), *appended((1, 2, 3), command(2, 2))],
        [*(Committed(node, 2) for node in (1, 2, 3)), Settled(frozenset({1, 2, 3}), 100)],
        [*(Committed(node, 1) for node in (1, 2, 3)), Settled(frozenset({1, 2, 3}), 100)],
    ),
    "P18 a node that does not catch up": Control(
        Liveness,
        committed_by_first_leader(),
        [Committed(2, 2), Settled(frozenset({1, 2}), 100)],
        [Committed(2, 2), Settled(frozenset({1, 2, 3}), 100)],
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
    "P20 a vote of who has lost its log": Control(
        LostData,
        [*committed_by_first_leader(), Stopped(2), started(2, FOUNDATION, term=2, lost=True)],
        [Appended(2, command(2, 2)), sent(2, 3, VOTE, 3, success=1)],
        [sent(2, 3, VOTE, 3, success=1)],
    ),
    "P21 a truncated configuration that is still in use": Control(
        EffectiveConfiguration,
        [*group(), Appended(1, configuration(2, 2, 1, 2)), Truncated(1, 2)],
        [returned(1, peers=PEERS)],
        [returned(1, peers=voters(1, 2))],
    ),
    "P21 a recovered configuration that is not the log's": Control(
        EffectiveConfiguration,
        [],
        [started(1, FOUNDATION, configuration(2, 2, 1, 2), peers=voters(1, 2))],
        [started(1, FOUNDATION, configuration(2, 2, 1, 2), peers=PEERS)],
    ),
    "P22 a pre-vote granted while a leader is heard": Control(
        lambda: StableLeader(10, 40),
        [*group(), *leads(1, 2), TermSaved(2, 2, 1), Called(2, sent(1, 2, APPEND, 2).message)],
        [*[Called(2, "tick")] * 10, sent(2, 3, PRE_VOTE_RESPONSE, 3, success=1)],
        [Called(2, "tick"), sent(2, 3, PRE_VOTE_RESPONSE, 3, success=1)],
    ),
    "P22 a leader that nobody answers": Control(
        lambda: StableLeader(2, 3),
        [*group(), *leads(1, 2), *[Called(1, "tick")] * 3],
        [Called(1, sent(2, 1, APPEND_RESPONSE, 2).message), Called(1, "tick")],
        [Called(1, "tick")],
    ),
    "P23 executed twice": Control(
        ExactlyOnce,
        [*group(), Applied(1, 5, b"", (4, 1))],
        [Applied(2, 5, b"", (4, 1)), Applied(1, 6, b"", (4, 1), fresh=False)],
        [Applied(1, 6, b"", (4, 1))],
    ),
    "P23 a repetition of what never was": Control(
        ExactlyOnce,
        [*group(), Applied(1, 5, b"", (4, 1))],
        [Applied(1, 6, b"", (4, 2))],
        [Applied(1, 6, b"", (4, 2), fresh=False)],
    ),
}


def judge(make: Callable[[], Property], events: list[Event]) -> Observer:
    observer = Observer([make()])
    for event in events:
        observer.observe(event)
    return observer


@pytest.mark.parametrize("name", CONTROLS)
def test_the_good_sequence_is_silent(name: str) -> None:
    control = CONTROLS[name]
    observer = judge(control.make, [*control.before, *control.good])
    assert observer.violations == []
    assert observer.checks > 0


@pytest.mark.parametrize("name", CONTROLS)
def test_the_bad_sequence_breaks_it_with_its_last_event(name: str) -> None:
    control = CONTROLS[name]
    assert judge(control.make, [*control.before, *control.bad[:-1]]).violations == []
    (violation,) = judge(control.make, [*control.before, *control.bad]).violations
    assert violation.kind == name.split(maxsplit=1)[0] == control.make().id
    assert violation.invariant == control.make().guarantee
    assert violation.message


def test_every_property_that_can_break_has_a_control() -> None:
    ids = {each.id for each in all_properties(10, 20)}
    assert {name.split(maxsplit=1)[0] for name in CONTROLS} == ids
    assert ids | {Sometimes.id} == {f"P{number}" for number in range(1, 24)}


def test_p17_says_what_a_campaign_did_not_exercise() -> None:
    sometimes = Sometimes()
    observer = Observer([sometimes])
    assert sometimes.missing() == list(SITUATIONS)
    for event in (*committed_by_first_leader(), Applied(1, 2, b""), Stopped(1)):
        observer.observe(event)
    assert "election" not in sometimes.missing()
    assert {"re-election", "restart", "snapshot taken"} <= set(sometimes.missing())
    for event in (started(1, FOUNDATION, command(2, 2), term=2), *leads(2, 3)):
        observer.observe(event)
    assert not {"re-election", "restart"} & set(sometimes.missing())
