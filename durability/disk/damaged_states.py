"""Damaged disks of one run: each is recovered, and judged by `damage_rule`."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec

from durability.audit.judgement import Judgement
from durability.audit.promises import Heard, Promises
from durability.audit.violation import Violation
from durability.campaign.bench import Bench
from durability.campaign.cycle import Plan
from durability.campaign.workers import Work, Workers
from durability.crash.content import Content
from durability.disk.damage_rule import End, judge_damage
from durability.disk.faults import FAULTS, LABELS
from durability.disk.keeping import case_of, kept
from durability.disk.outcome import Outcome, Progress
from durability.disk.scope import DiskScope
from durability.report.crash_state import CrashStateCase, Damage, LossViolation
from durability.targets.contract import Target
from durability.trace.trace import Trace

_BATCH: Final = 32


class Damaged(msgspec.Struct, frozen=True):
    """A damaged disk; `end` is how many records of the run there were when it was met."""

    how: str
    content: Content
    end: int


@dataclass(frozen=True)
class TracedRun:
    """The run whose disk a fault damages: at rest, or by lying. `later` as for `Ledger`."""

    trace: Trace
    later: frozenset[str]
    fault: str
    damage: Damage


class _Met(msgspec.Struct, frozen=True):
    """How one damaged disk was met; `cases` show kinds that this process has not met before."""

    end: End
    acknowledged: int
    violations: list[LossViolation]
    cases: dict[str, CrashStateCase]
    faults: list[str]


def meet_damage(
    target: Target,
    plan: Plan,
    scope: DiskScope,
    run: TracedRun,
    states: Iterable[Damaged],
    outcome: Outcome,
    progress: Progress,
) -> None:
    """Recover each of the states that a fault has made of what a run left; judge by the rule.

    What comes of it is added to `outcome` as it comes.
    """

    @contextmanager
    def recovering(control: int) -> Iterator[Work]:
        del control
        with Bench(target, plan.directory) as bench:
            judging = _Judging(target, plan, bench, run)
            yield lambda item: msgspec.msgpack.encode(
                judging.judge(msgspec.msgpack.decode(item, type=list[Damaged]))
            )

    def batches() -> Iterator[bytes]:
        rest = iter(states)
        while batch := list(islice(rest, _BATCH)):
            yield msgspec.msgpack.encode(batch)

    with Workers(scope.jobs, recovering) as workers:
        for result in workers.map(batches(), scope.until):
            for met in msgspec.msgpack.decode(result, type=list[_Met]):
                outcome.fired += 1
                outcome.ended(met.end)
                told = kept(met.violations, met.cases, outcome.found, target.name, plan)
                outcome.add(told, met.acknowledged, met.faults)
                progress(True, bool(told))


class _Judging:
    """Judges damaged disks of one run in this process."""

    def __init__(self, target: Target, plan: Plan, bench: Bench, run: TracedRun) -> None:
        self._target = target
        self._plan = plan
        self._bench = bench
        self._run = run
        self._shown: set[str] = set()

    def judge(self, states: list[Damaged]) -> list[_Met]:
        """Recover and judge each."""
        promises = [self._promises(state) for state in states]
        judgements = self._bench.judge_all(
            [(state.content, [told]) for state, told in zip(states, promises, strict=True)]
        )
        return [self._met(*each) for each in zip(states, promises, judgements, strict=True)]

    def _lines(self, state: Damaged) -> list[str]:
        trace = self._run.trace
        return Trace(trace.initial, trace.records[: state.end]).lines()

    def _promises(self, state: Damaged) -> Promises:
        return Promises.of(self._target, [Heard("run", self._lines(state))], self._run.later)

    def _met(self, state: Damaged, promises: Promises, judgement: Judgement) -> _Met:
        run = self._run
        end, judged = judge_damage(self._target, state.content, promises, judgement, run.damage)
        told = [self._told(violation, state) for violation in judged.violations]
        news = [violation for violation in told if violation.kind not in self._shown]
        self._shown |= {violation.kind for violation in news}
        cases = {
            violation.kind: case_of(
                self._plan, violation, state.content, self._lines(state), run.later, run.damage
            )
            for violation in news
        }
        return _Met(end, judged.acknowledged, told, cases, judged.faults)

    def _told(self, violation: Violation, state: Damaged) -> LossViolation:
        fault = self._run.fault
        return LossViolation(
            kind=violation.kind,
            invariant=violation.invariant,
            message=f"{violation.message} ({LABELS[FAULTS[fault].family]}: {state.how})",
            subject=f"{self._target.name}: {fault}",
            model=fault,
        )
