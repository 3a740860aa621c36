"""The disk: what is durable before it is said, and still there afterwards."""

from durability.invariants.durable_before_visible import DurableBeforeVisible
from durability.invariants.events import Appended, Stopped, TermSaved, Truncated
from durability.invariants.lost_data import LostData
from durability.invariants.nothing_forgotten import NothingForgotten
from durability.invariants.state_ordering import StateOrdering
from raft.message import MessageType
from tests.durability.invariants.control import Control
from tests.durability.invariants.sequences import (
    FOUNDATION,
    appended,
    command,
    committed_by_first_leader,
    group,
    leads,
    returned,
    sends,
    sent,
    started,
)

APPEND_RESPONSE = MessageType.APPEND_ENTRIES_RESPONSE
REQUEST_VOTE = MessageType.REQUEST_VOTE
VOTE = MessageType.REQUEST_VOTE_RESPONSE
PRE_VOTE = MessageType.PRE_VOTE


DISK_CONTROLS = {
    "P8 a term before it is durable; a pre-vote's is nobody's": Control(
        DurableBeforeVisible, group(), [sent(1, 2, PRE_VOTE, 2)], [sent(1, 2, APPEND_RESPONSE, 2)]
    ),
    "P8 a vote before it is durable": Control(
        DurableBeforeVisible,
        [*group(), TermSaved(2, 2, None)],
        [TermSaved(2, 2, 1), sent(2, 1, VOTE, 2, success=1)],
        [sent(2, 1, VOTE, 2, success=1)],
    ),
    "P8 standing with an entry before it is durable; a leader may send it": Control(
        DurableBeforeVisible,
        [*group(), TermSaved(1, 2, 1)],
        [
            sent(1, 2, REQUEST_VOTE, 2, last_log_index=1),
            sends(1, 2, (1, 1), command(2, 2)),
        ],
        [sent(1, 2, REQUEST_VOTE, 2, last_log_index=2)],
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
    "P8 an acknowledgement of another entry than the leader sent": Control(
        DurableBeforeVisible,
        [
            *group(),
            *leads(1, 2),
            sends(1, 2, (1, 1), command(2, 2, b"a")),
            TermSaved(2, 2, 1),
            Appended(2, command(2, 2, b"b")),
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
    "P20 a vote of who has lost its log": Control(
        LostData,
        [*committed_by_first_leader(), Stopped(2), started(2, FOUNDATION, term=2, lost=True)],
        [Appended(2, command(2, 2)), sent(2, 3, VOTE, 3, success=1)],
        [sent(2, 3, VOTE, 3, success=1)],
    ),
}
