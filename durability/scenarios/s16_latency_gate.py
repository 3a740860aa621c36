"""S16: a proposal costs each voter one sync, and hardly more time than those syncs take (H31).

A single voter and a group of three take proposals one at a time, each by turns with the bare writes
and fdatasyncs that it cannot do without, on the same disk: whatever slows the disk down slows both
down. Timed is a proposal from the call until the leader has applied it. The gate is twofold. By
count: in a traced run each proposal is one write and one data sync at each voter, and nothing else.
By time: the median is at most `RATIO_MAX` of the bare one's, where a sync costs as much as on a
disk; on a RAM disk the ratio only tells how fast the interpreter is, and is reported.

Not tested here: a network. The voters are threads of one process.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from durability.audit.violation import Violation
from durability.campaign.workers import run_alone
from durability.scenarios.scenario import Conditions, Landing, Outcome
from durability.scenarios.voters import Series, elected, measure, percentile
from durability.targets.contract import Call
from durability.trace.records import AnyRecord, Output, Sync, Write, is_change, shown
from durability.trace.supervisor import Supervisor

PROPOSALS: Final = 1000
GROUPS: Final = (1, 3)
RATIO_MAX: Final = 2.0
"""Below what a second sync, or a rename, for each proposal would cost."""
_DISK_SYNC_US_MIN: Final = 50.0
_TRACED_PROPOSALS: Final = 20
_PERCENTS: Final = (50, 95, 99)

Cost = tuple[int, int, int]
"""Writes, syncs and other changes."""


class Measured(msgspec.Struct, frozen=True):
    """A group of voters: what some proposals cost each, by its directory, and how long others took.

    A voter to which a proposal cost nothing is missing.
    """

    voters: int
    costs: list[dict[str, Cost]]
    series: Series


def run(conditions: Conditions) -> Outcome:
    """Count what a proposal does, and measure how long it takes."""
    return judge([_measured(voters, conditions) for voters in GROUPS])


def _measured(voters: int, conditions: Conditions) -> Measured:
    with TemporaryDirectory(prefix="durability-", dir=conditions.directory) as directory:
        costs = msgspec.msgpack.decode(
            run_alone(partial(count_costs, directory, voters)), type=list[dict[str, Cost]]
        )
    with TemporaryDirectory(prefix="durability-", dir=conditions.disk) as directory:
        return Measured(voters, costs, measure(directory, voters, PROPOSALS))


def judge(groups: Iterable[Measured]) -> Outcome:
    """Put the counts and times of groups through the gate."""
    outcome = Outcome(landing=[], figures={"ratio_p50_max": RATIO_MAX})
    for group in groups:
        series = group.series
        on_disk = percentile(series.one_us, 50) >= _DISK_SYNC_US_MIN
        outcome.violations += _breaches(group, on_disk=on_disk)
        if not on_disk:
            outcome.notes = ["a sync costs nothing there: the ratio is reported, not judged"]
        proposals = len(group.costs) + len(series.propose_us)
        outcome.landing.append(
            Landing(
                fault=f"none: a gate on cost, {_named(group.voters)}",
                ordered=proposals,
                landed=proposals,
                evidence="each was applied before its time was taken; those counted were traced",
            )
        )
        outcome.figures |= {
            f"voters_{group.voters}_{name}": figure for name, figure in _figures(group).items()
        }
    return outcome


def _figures(group: Measured) -> dict[str, float]:
    series = group.series
    times = {"propose": series.propose_us, "one": series.one_us, "majority": series.majority_us}
    syncs = sum(cost[1] for costs in group.costs for cost in costs.values())
    return {
        "proposals": len(series.propose_us),
        **{
            f"{name}_p{percent}_us": round(percentile(measured, percent), 1)
            for name, measured in times.items()
            for percent in _PERCENTS
        },
        **{f"ratio_p{percent}": round(series.ratio(percent), 2) for percent in _PERCENTS},
        "ratio_to_one_p50": round(series.ratio_to_one(50), 2),
        "syncs_per_proposal": syncs / len(group.costs),
    }


def _breaches(group: Measured, *, on_disk: bool) -> Iterable[Violation]:
    due = {f"node{number}": (1, 1, 0) for number in range(1, group.voters + 1)}
    others = [costs for costs in group.costs if costs != due]
    if others:
        yield _breach(
            f"{_named(group.voters)}: {len(others)} of {len(group.costs)} proposals cost more or"
            f" less, such as {_told(others[0])}"
        )
    ratio = group.series.ratio(50)
    if on_disk and ratio > RATIO_MAX:
        yield _breach(
            f"{_named(group.voters)}: the median proposal took {ratio:.2f} times as long as the"
            f" writes and syncs that it needs, {RATIO_MAX:g} times is permitted"
        )


def _breach(message: str) -> Violation:
    invariant = "A proposal costs each voter one write and one sync, in count and in time."
    return Violation(kind="latency", invariant=invariant, message=message)


def _named(voters: int) -> str:
    return "a single voter" if voters == 1 else f"{voters} voters"


def _told(costs: Mapping[str, Cost]) -> str:
    return "; ".join(
        f"{name} {writes} writes, {syncs} syncs, {changes} other changes"
        for name, (writes, syncs, changes) in sorted(costs.items())
    )


def count_costs(directory: str, voters: int, control: int) -> bytes:
    """Trace a few proposals; return what each cost each voter, as MessagePack."""

    def propose() -> None:
        with elected(directory, voters) as group:
            for _ in range(_TRACED_PROPOSALS):
                os.write(1, b"propose\n")
                group.propose()
                group.settle()
            os.write(1, b"done\n")

    run = Supervisor(control).run(Call(propose), directory)
    assert run.exit_status == 0, run.stderr
    records = run.trace.records
    said = [number for number, record in enumerate(records) if isinstance(record, Output)]
    return msgspec.msgpack.encode(
        [_costs(records[begin + 1 : end]) for begin, end in pairwise(said)]
    )


def _costs(records: Sequence[AnyRecord]) -> dict[str, Cost]:
    of: defaultdict[str, list[AnyRecord]] = defaultdict(list)
    for record in records:
        if path := getattr(record, "path", b""):
            of[shown(path.partition(b"/")[0])].append(record)
    return {
        name: (
            sum(isinstance(record, Write) for record in own),
            sum(isinstance(record, Sync) for record in own),
            sum(is_change(record) for record in own),
        )
        for name, own in of.items()
    }
