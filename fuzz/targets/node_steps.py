"""Invariant tested: three nodes keep every property of Raft, whatever happens in which order.

An input is a program of ticks, deliveries, losses, repetitions, requests, kills and power cuts
(`fuzz.schedule`), performed by the simulated cluster of `durability.simulation`. The oracle are the
properties of `durability.invariants`, which watch every event; besides, nothing but a refusal
leaves a node. A run is guided by the abstract states that the cluster passes through: roles, and
how terms, logs and commits compare.
"""

from typing import Final

from durability.simulation.run import Judged, Run
from fuzz.laws import BrokenLawError
from fuzz.places import make_places, visit
from fuzz.schedule import SCHEDULE, actions_of, options_of
from fuzz.target import Target

_PLACES: Final = make_places(2**12)
_SEED: Final = 1


def check(data: bytes) -> None:
    """Perform one program under the eyes of every property."""
    _judge(data)


def _probe(data: bytes) -> None:
    visit(_PLACES, _judge(data).states)


def _judge(program: bytes) -> Run:
    judged = Judged(options_of(program), _SEED)
    for action in actions_of(program, judged.cluster):
        if judged.perform(action):
            break
    run = judged.result()
    for violation in run.violations:
        raise BrokenLawError(f"{violation.invariant}: {violation.message}", violation.kind)
    return run


TARGET: Final = Target(check=check, probe=_probe, layout=SCHEDULE, places=_PLACES)
