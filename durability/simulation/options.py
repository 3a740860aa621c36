"""What one run is exposed to. Swarm options are drawn from the run's seed, and printed.

A run that always sees every fault at an average rate is a poor one: some defects show only where
one fault is frequent and another absent (swarm testing, Groce et al. 2012). Rates are scaled to the
election timeout, since a fault that is much rarer or much longer than an election changes nothing
about it.
"""

import random
from dataclasses import asdict, dataclass, replace
from typing import Literal

from durability.crash.models import DEFAULT_MODELS

_MODELS = (None, *DEFAULT_MODELS, "posix-default")

Faults = Literal["swarm", "gentle", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The settings of one run. Probabilities are per message, rates per tick.

    A restart takes from 1 to `downtime_ticks_max` ticks, a partition from 1 to
    `partition_ticks_max`, a message's way from 1 to `delay_ticks_max`, or `slow_delay_ticks_max`
    with the probability of `slow`. While a node is down its disk rots with the probability of
    `rot`, if the others can spare it. A node misses a tick with that of `pause`: its clock is slow.
    `model` names what a power cut may keep of what was not synced; None: it keeps nothing.
    """

    nodes: int = 3
    election_timeout_ticks_min: int = 10
    election_timeout_ticks_max: int = 20
    snapshot_threshold_entries: int | None = 16
    trailing_entries: int = 8
    max_append_entries_bytes: int = 512
    snapshot_chunk_bytes: int = 256
    max_segment_bytes: int = 1024
    pre_vote: bool = True
    drop: float = 0.0
    duplicate: float = 0.0
    slow: float = 0.0
    pause: float = 0.0
    delay_ticks_max: int = 1
    slow_delay_ticks_max: int = 1
    crash_rate: float = 0.0
    power_cut: float = 0.0
    model: str | None = None
    interrupted_write: float = 0.0
    downtime_ticks_max: int = 1
    partition_rate: float = 0.0
    partition_ticks_max: int = 1
    proposal_rate: float = 0.2
    read_rate: float = 0.05
    snapshot_rate: float = 0.0
    transfer_rate: float = 0.0
    membership_rate: float = 0.0
    rot: float = 0.0

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())


def draw_options(seed: int, faults: Faults, nodes: int = 3) -> Options:
    """Draw the options of a run.

    `swarm` draws each fault's presence and rate, `gentle` has rare short ones, `none` has none.
    """
    draw = random.Random(f"options/{seed}")
    if faults == "none":
        return Options(nodes=nodes, pre_vote=draw.random() < 0.8)
    if faults == "gentle":
        return Options(
            nodes=nodes,
            drop=0.01,
            duplicate=0.01,
            delay_ticks_max=2,
            crash_rate=0.001,
            downtime_ticks_max=30,
            snapshot_rate=0.005,
        )

    def sometimes(least: float, most: float) -> float:
        return draw.uniform(least, most) if draw.random() < 0.6 else 0.0

    timeout_ticks = draw.choice((3, 4, 6, 10))
    options = Options(
        nodes=nodes,
        election_timeout_ticks_min=timeout_ticks,
        election_timeout_ticks_max=2 * timeout_ticks,
        snapshot_threshold_entries=draw.choice((None, 4, 16)),
        trailing_entries=draw.choice((0, 0, 2, 1000)),
        max_append_entries_bytes=draw.choice((1, 128, 4096)),
        snapshot_chunk_bytes=draw.choice((16, 256)),
        max_segment_bytes=draw.choice((128, 1024)),
        pre_vote=draw.random() < 0.8,
        drop=sometimes(0.0, 0.2),
        duplicate=sometimes(0.0, 0.2),
        slow=sometimes(0.0, 0.2),
        pause=sometimes(0.0, 0.3),
        delay_ticks_max=draw.randint(1, max(1, timeout_ticks // 4)),
        slow_delay_ticks_max=3 * timeout_ticks,
        crash_rate=sometimes(0.1, 1.0) / (4 * timeout_ticks),
        power_cut=draw.choice((0.0, 0.5, 1.0)),
        model=random.Random(f"model/{seed}").choice(_MODELS),
        interrupted_write=draw.choice((0.0, 0.5, 1.0)),
        downtime_ticks_max=draw.randint(1, 3 * timeout_ticks),
        partition_rate=sometimes(0.1, 1.0) / (4 * timeout_ticks),
        partition_ticks_max=draw.randint(timeout_ticks, 6 * timeout_ticks),
        proposal_rate=draw.uniform(0.05, 0.5),
        read_rate=sometimes(0.02, 0.2),
        snapshot_rate=sometimes(0.0, 0.05),
        transfer_rate=sometimes(0.0, 0.2) / timeout_ticks,
        membership_rate=sometimes(0.0, 0.5) / timeout_ticks,
    )
    # Who has lost something does not vote until it is repaired, and a newcomer until it has caught
    # up: a group that grows or shrinks around both may be left without a quorum, as it must.
    return options if options.membership_rate else replace(options, rot=sometimes(0.1, 0.5))
