"""The observer: every event goes to the properties that watch it, and then into the record."""

from collections import Counter
from collections.abc import Iterable

from durability.audit.violation import Violation
from durability.invariants.apply_in_order import ApplyInOrder
from durability.invariants.commit_monotonic import CommitMonotonic
from durability.invariants.commit_on_quorum import CommitOnQuorum
from durability.invariants.durable_before_visible import DurableBeforeVisible
from durability.invariants.effective_configuration import EffectiveConfiguration
from durability.invariants.election_safety import ElectionSafety
from durability.invariants.equal_states import EqualStates
from durability.invariants.events import Event
from durability.invariants.exactly_once import ExactlyOnce
from durability.invariants.leader_append_only import LeaderAppendOnly
from durability.invariants.leader_completeness import LeaderCompleteness
from durability.invariants.liveness import Liveness
from durability.invariants.log_matching import LogMatching
from durability.invariants.lost_data import LostData
from durability.invariants.monotonic_state import MonotonicState
from durability.invariants.nothing_forgotten import NothingForgotten
from durability.invariants.one_configuration import OneConfiguration
from durability.invariants.pre_vote import PreVote
from durability.invariants.property import Property
from durability.invariants.read_index import ReadIndex
from durability.invariants.record import Record
from durability.invariants.stable_leader import StableLeader
from durability.invariants.state_machine_safety import StateMachineSafety
from durability.invariants.state_ordering import StateOrdering
from durability.invariants.vote_once import VoteOnce


class Observer:
    """Judges a run as it goes.

    `violations` are in the order found; `events` and `checks` are counted. After a violation the
    run goes on, but what follows may be its consequence.
    """

    def __init__(self, properties: Iterable[Property]) -> None:
        self.record = Record()
        self.violations: list[Violation] = []
        self.events: Counter[str] = Counter()
        self.checks = 0
        self._watching: dict[type, list[Property]] = {}
        for each in properties:
            for kind in each.watches:
                self._watching.setdefault(kind, []).append(each)

    def observe(self, event: Event) -> None:
        """Judge one event."""
        kind = type(event)
        self.events[kind.__name__] += 1
        for each in self._watching.get(kind, ()):
            self.checks += 1
            message = each.judge(self.record, event)
            if message is not None:
                self.violations.append(
                    Violation(kind=each.id, invariant=each.guarantee, message=message)
                )
        self.record.update(event)


def all_properties(
    election_timeout_ticks_min: int, election_timeout_ticks_max: int, *, pre_vote: bool = True
) -> list[Property]:
    """Make one of each safety property, and of liveness, for a group with these timeouts.

    Without pre-vote a partitioned node does inflate its term, and P11 and P22 promise nothing.
    """
    properties: list[Property] = [
        ElectionSafety(),
        LeaderAppendOnly(),
        LogMatching(),
        LeaderCompleteness(),
        StateMachineSafety(),
        CommitMonotonic(),
        VoteOnce(),
        DurableBeforeVisible(),
        NothingForgotten(),
        CommitOnQuorum(),
        OneConfiguration(),
        ReadIndex(),
        ApplyInOrder(),
        MonotonicState(),
        StateOrdering(),
        Liveness(),
        EqualStates(),
        LostData(),
        EffectiveConfiguration(),
        ExactlyOnce(),
    ]
    if pre_vote:
        properties += [
            PreVote(),
            StableLeader(election_timeout_ticks_min, 2 * election_timeout_ticks_max),
        ]
    return properties
