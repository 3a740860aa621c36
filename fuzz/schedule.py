"""What happens to a cluster of three nodes, as a program of small steps.

An input is u8 how the nodes are set up, and steps of three bytes: u8 what, u8 which node, u8 how
much or which. Any bytes are a program. A step stands for one action or for several, which are
decided when it is their turn: which messages are on their way is not known earlier.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import Final

from durability.simulation.action import (
    Action,
    AddLearner,
    Crash,
    Deliver,
    Propose,
    Read,
    RemovePeer,
    Restart,
    TakeSnapshot,
    Tick,
    Transfer,
)
from durability.simulation.cluster import Cluster
from durability.simulation.network import Way
from durability.simulation.options import Options
from fuzz.layout import Layout
from raft.examples.kv import Write, encode_command
from raft.sessions import encode_command as encode_in_session
from raft.sessions import encode_open

SCHEDULE: Final = Layout((1,), record=Layout((1, 1, 1)))

_STEP: Final = struct.Struct("<BBB")
_STEPS_MAX: Final = 150
_NODES: Final = 3
_PEERS: Final = 5
_TIMEOUT_TICKS: Final = 4


class Step(IntEnum):
    """The kinds of a step. `which` node and `number` are taken modulo what there is."""

    TICK = 0
    DELIVER = 1
    DELIVER_AGAIN = 2
    DELIVER_ALL_TO = 3
    LOSE = 4
    LOSE_ALL_TO = 5
    LOSE_ALL_FROM = 6
    PROPOSE = 7
    READ = 8
    TAKE_SNAPSHOT = 9
    TRANSFER = 10
    ADD_LEARNER = 11
    REMOVE = 12
    KILL = 13
    CUT_POWER = 14
    RESTART = 15
    ROUND = 16


_OF_ONE: Final[Mapping[Step, Callable[[int], Action]]] = {
    Step.READ: Read,
    Step.TAKE_SNAPSHOT: TakeSnapshot,
    Step.RESTART: Restart,
}
_OF_TWO: Final[Mapping[Step, Callable[[int, int], Action]]] = {
    Step.TRANSFER: Transfer,
    Step.ADD_LEARNER: AddLearner,
    Step.REMOVE: RemovePeer,
}


def options_of(program: bytes) -> Options:
    """Read how the nodes are set up: short timeouts, small files, each setting one bit."""
    bits = program[0] if program else 0
    return Options(
        nodes=_NODES,
        election_timeout_ticks_min=_TIMEOUT_TICKS,
        election_timeout_ticks_max=2 * _TIMEOUT_TICKS,
        pre_vote=not bits & 1,
        snapshot_threshold_entries=4 if bits & 2 else None,
        trailing_entries=0 if bits & 4 else 2,
        max_append_entries_bytes=1 if bits & 8 else 512,
        snapshot_chunk_bytes=16,
        max_segment_bytes=128,
    )


def actions_of(program: bytes, cluster: Cluster) -> Iterator[Action]:
    """Yield the actions, each of which must be performed before the next is asked for."""
    steps = program[1 : 1 + _STEPS_MAX * _STEP.size]
    whole = steps[: len(steps) - len(steps) % _STEP.size]
    for kind, which, number in _STEP.iter_unpack(whole):
        step = Step(kind % len(Step))
        node = 1 + which % len(cluster.members)
        match step:
            case Step.TICK:
                yield from [Tick(node)] * (1 + number % (3 * _TIMEOUT_TICKS))
            case Step.ROUND:
                yield from _round(cluster)
            case Step.DELIVER_ALL_TO:
                yield from [Deliver(*way) for way in cluster.in_flight if way[1] == node]
            case Step.DELIVER | Step.DELIVER_AGAIN | Step.LOSE:
                if cluster.in_flight:
                    way = list(cluster.in_flight)[number % len(cluster.in_flight)]
                    yield from _move(cluster, step, way)
            case Step.LOSE_ALL_TO | Step.LOSE_ALL_FROM:
                end = 1 if step is Step.LOSE_ALL_TO else 0
                for way in [way for way in cluster.in_flight if way[end] == node]:
                    del cluster.in_flight[way]
            case _:
                yield _single(cluster, step, node, number)


def _round(cluster: Cluster) -> Iterator[Action]:
    """Let a tick pass for everyone, and all that is on its way arrive: how a good day goes."""
    for node in list(cluster.members):
        yield Tick(node)
    for way in list(cluster.in_flight):
        yield Deliver(*way)


def _move(cluster: Cluster, step: Step, way: Way) -> Iterator[Action]:
    if step is Step.LOSE:
        del cluster.in_flight[way]
    else:
        yield Deliver(*way, again=step is Step.DELIVER_AGAIN)


def _single(cluster: Cluster, step: Step, node: int, number: int) -> Action:
    match step:
        case Step.PROPOSE:
            return Propose(node, _command(cluster, number))
        case Step.KILL | Step.CUT_POWER:
            # At once, or inside of one of its next disk operations.
            operations = number - 1 if number else None
            return Crash(node, step is Step.CUT_POWER, operations)
        case Step.TRANSFER | Step.ADD_LEARNER | Step.REMOVE:
            return _OF_TWO[step](node, 1 + number % _PEERS)
        case _:
            return _OF_ONE[step](node)


def _command(cluster: Cluster, number: int) -> bytes:
    """Make a command of the latest session, for the same number the same; without one, open it."""
    if not cluster.session_ids:
        return encode_open()
    write = Write(b"key", bytes([number]))
    return encode_in_session(cluster.session_ids[-1], 1 + number, encode_command(write))
