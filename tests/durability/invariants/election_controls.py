"""Elections: who leads, who votes, who stands, whose term and role may change how."""

from durability.invariants.election_safety import ElectionSafety
from durability.invariants.events import (
    Appended,
    Called,
    Committed,
    Progress,
    RoleChanged,
    Stopped,
    TermSaved,
)
from durability.invariants.leader_completeness import LeaderCompleteness
from durability.invariants.monotonic_state import MonotonicState
from durability.invariants.pre_vote import PreVote
from durability.invariants.stable_leader import StableLeader
from durability.invariants.vote_once import VoteOnce
from raft.message import MessageType
from tests.durability.invariants.control import Control
from tests.durability.invariants.sequences import (
    FOUNDATION,
    appended,
    command,
    committed_by_first_leader,
    configuration,
    group,
    leads,
    returned,
    sent,
    started,
)

APPEND = MessageType.APPEND_ENTRIES
APPEND_RESPONSE = MessageType.APPEND_ENTRIES_RESPONSE
REQUEST_VOTE = MessageType.REQUEST_VOTE
VOTE = MessageType.REQUEST_VOTE_RESPONSE
PRE_VOTE = MessageType.PRE_VOTE
PRE_VOTE_RESPONSE = MessageType.PRE_VOTE_RESPONSE


def grant(sender: int, receiver: int, term: int) -> Called:
    return Called(receiver, sent(sender, receiver, PRE_VOTE_RESPONSE, term, success=1).message)


ELECTION_CONTROLS = {
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
    "P15 a match that falls; a peer that has lost its log begins at 0": Control(
        MonotonicState,
        [*committed_by_first_leader(), Progress(1, 2, 2, 3), Stopped(2)],
        [started(2, FOUNDATION, lost=True), Progress(1, 2, 1, 2)],
        [started(2, FOUNDATION, command(2, 2), term=2), Progress(1, 2, 1, 2)],
    ),
    "P15 sending what the peer has": Control(
        MonotonicState, group(), [Progress(1, 2, 3, 4)], [Progress(1, 2, 3, 3)]
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
    "P22 a leader that its new voters do not answer": Control(
        lambda: StableLeader(2, 3),
        [
            *group(),
            *leads(1, 2),
            *[Called(1, "tick")] * 2,
            Called(1, sent(2, 1, APPEND_RESPONSE, 2).message),
            Called(1, "tick"),
            Appended(1, configuration(2, 2, 1, 3)),
            *[Called(1, "tick")] * 2,
        ],
        [Called(1, sent(3, 1, APPEND_RESPONSE, 2).message), Called(1, "tick")],
        [Called(1, "tick")],
    ),
}
