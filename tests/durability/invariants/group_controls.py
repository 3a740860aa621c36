"""The group as its clients and its operators see it: members, reads, commands, an end of faults."""

from durability.invariants.effective_configuration import EffectiveConfiguration
from durability.invariants.events import (
    Appended,
    Applied,
    Committed,
    ReadInvoked,
    ReadServed,
    Settled,
    Truncated,
)
from durability.invariants.exactly_once import ExactlyOnce
from durability.invariants.liveness import Liveness
from durability.invariants.one_configuration import OneConfiguration
from durability.invariants.read_index import ReadIndex
from tests.durability.invariants.control import Control
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
    started,
    voters,
)

GROUP_CONTROLS = {
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
