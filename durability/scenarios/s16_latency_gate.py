"""S16: a proposal costs one sync, and hardly more time than one (H31).

A single voter takes proposals one at a time, each by turns with a bare write and fdatasync of as
many bytes to another file on the same disk: whatever slows the disk down slows both down. Timed is
a proposal from the call until it was applied. The gate is twofold. By count: in a traced run each
proposal is one write and one data sync, and nothing else. By time: the median is at most
`RATIO_MAX` of the bare one's, where a sync costs as much as on a disk; on a RAM disk the ratio only
tells how fast the interpreter is, and is reported.

Not tested here: replication to other voters, which this node does not have yet.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from durability.audit.violation import Violation
from durability.campaign.workers import run_alone
from durability.scenarios.scenario import Conditions, Landing, Outcome
from durability.targets.contract import Call
from durability.trace.records import AnyRecord, Output, Sync, Write, is_change
from durability.trace.supervisor import Supervisor
from raft import Config, Node, Peer, PeerRole
from raft.segment import RECORD_BYTES

PROPOSALS: Final = 1000
RATIO_MAX: Final = 2.0
"""Below what a second sync, or a rename, for each proposal would cost."""
_DISK_SYNC_US_MIN: Final = 50.0
_TRACED_PROPOSALS: Final = 20
_WARM_UP: Final = 50
_PERCENTS: Final = (50, 95, 99)
_COMMAND: Final = bytes(64)
_CONFIG: Final = Config(
    node_id=1,
    election_timeout_ticks_min=2,
    election_timeout_ticks_max=4,
    snapshot_threshold_entries=None,
    random_seed=1,
)


class _Counter:
    """A state machine that costs next to nothing."""

    def __init__(self) -> None:
        self.applied = 0

    def apply(self, index: int, command: bytes) -> None:
        """Count a command."""
        del index, command
        self.applied += 1

    def snapshot(self) -> Iterable[bytes]:
        """Never asked for: no snapshot is taken."""
        return ()

    def restore(self, chunks: Iterator[bytes]) -> None:
        """Never called: there is no snapshot."""


class Series(msgspec.Struct, frozen=True):
    """Times of proposals and of bare writes, in microseconds, measured by turns."""

    propose_us: list[float]
    bare_us: list[float]

    def ratio(self, percent: int) -> float:
        """Return how many times as long a proposal takes, at a percentile."""
        return percentile(self.propose_us, percent) / percentile(self.bare_us, percent)


def run(conditions: Conditions) -> Outcome:
    """Count what a proposal does, and measure how long it takes."""
    with TemporaryDirectory(prefix="durability-", dir=conditions.directory) as directory:
        work = partial(_counted, directory)
        per_proposal = msgspec.msgpack.decode(run_alone(work), type=list[tuple[int, int, int]])
    with TemporaryDirectory(prefix="durability-", dir=conditions.disk) as directory:
        series = measure(directory, PROPOSALS)
    return judge(per_proposal, series)


def judge(per_proposal: Sequence[tuple[int, int, int]], series: Series) -> Outcome:
    """Put counts of (writes, syncs, other changes) and times through the gate."""
    on_disk = percentile(series.bare_us, 50) >= _DISK_SYNC_US_MIN
    violations: list[Violation] = []
    dearer = [counts for counts in per_proposal if counts != (1, 1, 0)]
    if dearer:
        writes, syncs, others = dearer[0]
        violations.append(
            _breach(
                f"{len(dearer)} of {len(per_proposal)} proposals cost more or less, such as"
                f" {writes} writes, {syncs} syncs and {others} other changes",
            )
        )
    ratio = series.ratio(50)
    if on_disk and ratio > RATIO_MAX:
        violations.append(
            _breach(
                f"the median proposal took {ratio:.2f} times as long as a write and a sync,"
                f" {RATIO_MAX:g} times is permitted",
            )
        )
    landing = Landing(
        fault="none: a gate on cost",
        ordered=len(per_proposal) + len(series.propose_us),
        landed=len(per_proposal) + len(series.propose_us),
        evidence="each proposal was applied before its time was taken; those counted were traced",
    )
    notes = [] if on_disk else ["a sync costs nothing there: the ratio is reported, not judged"]
    return Outcome(
        landing=[landing],
        figures={
            "proposals": len(series.propose_us),
            **{
                f"{name}_p{percent}_us": round(percentile(times, percent), 1)
                for name, times in (("propose", series.propose_us), ("bare", series.bare_us))
                for percent in _PERCENTS
            },
            **{f"ratio_p{percent}": round(series.ratio(percent), 2) for percent in _PERCENTS},
            "ratio_p50_max": RATIO_MAX,
            "syncs_per_proposal": sum(syncs for _, syncs, _ in per_proposal) / len(per_proposal),
        },
        violations=violations,
        notes=notes,
    )


def _breach(message: str) -> Violation:
    invariant = "A proposal to a single voter costs one write and one sync, in count and in time."
    return Violation(kind="latency", invariant=invariant, message=message)


def measure(directory: str, proposals: int) -> Series:
    """Time proposals and bare writes of as many bytes by turns, in one directory."""
    series = Series([], [])
    with _leader(directory) as (node, machine):
        bare = os.open(os.path.join(directory, "bare"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        record = bytes(RECORD_BYTES + len(_COMMAND))
        for number in range(_WARM_UP + proposals):
            began = time.perf_counter_ns()
            os.write(bare, record)
            os.fdatasync(bare)
            turned = time.perf_counter_ns()
            node.propose(_COMMAND)
            ended = time.perf_counter_ns()
            assert machine.applied == number + 1
            node.take_effects()
            if number >= _WARM_UP:
                series.bare_us.append((turned - began) / 1000)
                series.propose_us.append((ended - turned) / 1000)
        os.close(bare)
    return series


def percentile(times: Sequence[float], percent: int) -> float:
    """Return the time that so many in a hundred do not exceed."""
    return sorted(times)[min(len(times) - 1, len(times) * percent // 100)]


@contextmanager
def _leader(directory: str) -> Iterator[tuple[Node, _Counter]]:
    data = os.path.join(directory, "node")
    os.mkdir(data)
    machine = _Counter()
    with Node(_CONFIG, machine, data) as node:
        node.bootstrap((Peer(1, PeerRole.VOTER, "127.0.0.1:7001"),))
        while not node.is_leader:
            node.tick()
        yield node, machine


def _counted(directory: str, control: int) -> bytes:
    """Return (writes, syncs, other changes) of each of a few traced proposals."""

    def propose() -> None:
        with _leader(directory) as (node, _):
            for _ in range(_TRACED_PROPOSALS):
                os.write(1, b"propose\n")
                node.propose(_COMMAND)
            os.write(1, b"done\n")

    run = Supervisor(control).run(Call(propose), directory)
    assert run.exit_status == 0, run.stderr
    said = [number for number, record in enumerate(run.trace.records) if isinstance(record, Output)]
    return msgspec.msgpack.encode(
        [_cost(run.trace.records[begin + 1 : end]) for begin, end in pairwise(said)]
    )


def _cost(records: Sequence[AnyRecord]) -> tuple[int, int, int]:
    return (
        sum(isinstance(record, Write) for record in records),
        sum(isinstance(record, Sync) for record in records),
        sum(is_change(record) for record in records),
    )
