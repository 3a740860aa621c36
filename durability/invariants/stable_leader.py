"""P22, a leader that is heard is left alone, and one that is not heard steps down.

Source: Ongaro 2014, sections 4.2.3, 6.2 and 9.6; etcd's CheckQuorum.
Formal: v grants a pre-vote => v has not heard its term's leader in its last timeout_min - 1 ticks;
l leads in its tick t => in one of its ticks up to t each of a quorum of its voters of then had been
heard in its tick t - `step_down_ticks` or later.
Cost: O(1) an event, O(voters log voters) a leader's tick.

'Heard' is judged in the node's own ticks. A restarted node has heard nobody. 'Of then' is for
changes of the voters: a leader that was answered by one of two peers, and removes it, has time
until it looks again to be answered by the other.
"""

from collections.abc import Collection, Mapping

from durability.invariants.events import Called, Event, RoleChanged, Sent, Started
from durability.invariants.property import Property
from durability.invariants.record import Record
from raft.message import Message, MessageType


class StableLeader(Property):
    """The two sides of check-quorum; a bridge partition is where both are needed."""

    id = "P22"
    guarantee = (
        "no election disturbs a leader whom a quorum hears, "
        "and a leader whom no quorum answers steps down in bounded time"
    )
    watches = (Started, Called, RoleChanged, Sent)

    def __init__(self, election_timeout_ticks_min: int, step_down_ticks: int) -> None:
        self._timeout_ticks = election_timeout_ticks_min
        self._step_down_ticks = step_down_ticks
        self._tick: dict[int, int] = {}
        self._heard: dict[int, dict[int, int]] = {}
        self._heard_quorum: dict[int, int] = {}
        self._heard_leader: dict[int, tuple[int, int]] = {}

    def judge(self, record: Record, event: Event) -> str | None:
        """Note who is heard when; judge leaders and grants by it."""
        match event:
            case Started(node):
                self._tick[node] = 0
                self._heard[node] = {}
                self._heard_leader.pop(node, None)
            case Called(node, "tick"):
                self._tick[node] += 1
                return self._judge_leader(record, node)
            case Called(node, Message() as message):
                self._note(record, node, message)
            case RoleChanged(node, "leader", _):
                # It has just heard the quorum that elected it.
                now = self._heard_quorum[node] = self._tick[node]
                self._heard[node] = dict.fromkeys(record.node(node).voters, now)
            case Sent(node, _, message):
                if message.type is MessageType.PRE_VOTE_RESPONSE and message.success:
                    return self._judge_grant(record, node)
        return None

    def _note(self, record: Record, node: int, message: Message) -> None:
        now = self._tick[node]
        self._heard[node][message.sender] = now
        of_a_leader = message.type in (MessageType.APPEND_ENTRIES, MessageType.INSTALL_SNAPSHOT)
        if of_a_leader and message.term >= record.node(node).term:
            self._heard_leader[node] = (message.term, now)

    def _judge_leader(self, record: Record, node: int) -> str | None:
        log = record.node(node)
        if not log.is_leader():
            return None
        now = self._tick[node]
        heard_since = _quorum_since({**self._heard[node], node: now}, log.voters)
        self._heard_quorum[node] = max(self._heard_quorum[node], heard_since)
        if now - self._heard_quorum[node] <= self._step_down_ticks:
            return None
        return (
            f"node {node} leads term {log.term}, and no quorum of {sorted(log.voters)} "
            f"was heard for {self._step_down_ticks} ticks"
        )

    def _judge_grant(self, record: Record, node: int) -> str | None:
        term, tick = self._heard_leader.get(node, (0, 0))
        ago = self._tick[node] - tick
        if term == record.node(node).term and term and ago < self._timeout_ticks - 1:
            return (
                f"node {node} granted a pre-vote {ago} ticks after it heard the leader of its "
                f"term {term}"
            )
        return None


def _quorum_since(heard: Mapping[int, int], voters: Collection[int]) -> int:
    """Return the last tick since which each of a quorum of `voters` was heard."""
    ticks = sorted((heard.get(voter, 0) for voter in voters), reverse=True)
    return ticks[len(ticks) // 2] if ticks else 0
