"""P11, a pre-vote inflates no term.

Source: Ongaro 2014, section 9.6; etcd #8243 and #8501; openraft #1796.
Formal: a PreVote changes neither (term, vote) of its receiver; a response that grants leads at most
to candidacy in the next term; a rejection may raise the requester to the rejecter's durable term;
BecomeCandidate(n, t) => t is one more, and a quorum granted it in this round, or TimeoutNow came.
Cost: O(1) an event, O(voters) a candidacy.

Raising the requester is no inflation: without it two of three nodes may never elect a leader.
"""

from durability.invariants.events import Called, Cause, Event, RoleChanged, Started, TermSaved
from durability.invariants.property import Property
from durability.invariants.record import Record, is_quorum
from raft.message import Message, MessageType


class PreVote(Property):
    """For groups in which every node has pre-vote switched on."""

    id = "P11"
    guarantee = "a node raises its term only when a quorum would vote for it"
    watches = (Started, Called, TermSaved, RoleChanged)

    def __init__(self) -> None:
        self._cause: dict[int, Cause] = {}
        self._grants: dict[tuple[int, int], set[int]] = {}

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge each rise of a term by what came in."""
        match event:
            case Started(node):
                self._cause[node] = "request"
                self._grants = {key: s for key, s in self._grants.items() if key[0] != node}
            case Called(node, cause):
                self._cause[node] = cause
                if isinstance(cause, Message) and _is_grant(cause):
                    # It carries the term that is asked for.
                    self._grants.setdefault((node, cause.term), set()).add(cause.sender)
            case TermSaved(node, term, _):
                return self._judge_term(record, node, term)
            case RoleChanged(node, "candidate", term):
                return self._judge_candidacy(record, node, term)
        return None

    def _judge_term(self, record: Record, node: int, term: int) -> str | None:
        message = self._cause[node]
        before = record.node(node).term
        if not isinstance(message, Message) or term == before:
            return None
        if message.type is MessageType.PRE_VOTE:
            return f"a PreVote raised node {node} from term {before} to {term}"
        if message.type is MessageType.PRE_VOTE_RESPONSE:
            limit = before + 1 if message.success else message.term
            if term > limit:
                return f"a PreVote response of term {message.term} raised node {node} to {term}"
        return None

    def _judge_candidacy(self, record: Record, node: int, term: int) -> str | None:
        message = self._cause[node]
        if isinstance(message, Message) and message.type is MessageType.TIMEOUT_NOW:
            return None
        granted = frozenset(self._grants.get((node, term), ())) | {node}
        voters = record.node(node).voters
        if is_quorum(granted, voters):
            return None
        return (
            f"node {node} became a candidate of term {term} with pre-votes of "
            f"{sorted(granted)} among {sorted(voters)}"
        )


def _is_grant(message: Message) -> bool:
    return message.type is MessageType.PRE_VOTE_RESPONSE and message.success
