"""Recovering and judging kill states of one trace: what a worker of an exploration does.

States with the same content are recovered once and judged against what had been promised in each of
them: of two moments the later one has promised more, but the earlier one has announced less, so
neither can stand for both.
"""

from collections.abc import Sequence
from itertools import accumulate
from types import TracebackType
from typing import Self

import msgspec

from durability.audit.judgement import Judgement
from durability.audit.promises import Promises
from durability.campaign.bench import Bench
from durability.campaign.course import Course
from durability.campaign.crash_findings import CrashFindings
from durability.campaign.cycle import Cycle, Found, Plan, Start
from durability.campaign.hearing import Hearing
from durability.crash.content import Content
from durability.crash.kill_states import KillState, Walk, trace_until
from durability.targets.contract import Target
from durability.trace.records import Output
from durability.trace.trace import Trace


class _Group(msgspec.Struct, frozen=True):
    """States with one content, and what had been promised in each."""

    content: Content
    digest: bytes
    numbers: list[int] = []
    promises: list[Promises] = []


class Explorer:
    """Judges ranges of a trace's kill states, ascending; a context manager that tidies up."""

    def __init__(
        self,
        target: Target,
        plan: Plan,
        trace: Trace,
        states: Sequence[KillState],
        later: frozenset[str],
    ) -> None:
        """Prepare; `states` are all those of the trace, `later` is as for `Ledger`."""
        self._trace = trace
        self._states = states
        self._walk = Walk(trace)
        self._later = later
        self._hearing = Hearing(target, Course(trace), later)
        said = (len(r.data) if isinstance(r, Output) else 0 for r in trace.records)
        self._printed_bytes = list(accumulate(said, initial=0))
        self._bench = Bench(target, plan.directory)
        self._findings = CrashFindings(target, plan)

    def __enter__(self) -> Self:
        self._bench.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._bench.__exit__(kind, error, where)

    def explore(self, numbers: range) -> list[Cycle]:
        """Return what becomes of these states, in their order."""
        groups = self._groups(numbers)
        states = ((group, number) for group in groups for number in group.numbers)
        judgements = self._bench.judge_all([(group.content, group.promises) for group in groups])
        cycles = [
            self._cycle(number, group, judgement)
            for (group, number), judgement in zip(states, judgements, strict=True)
        ]
        return sorted(cycles, key=lambda cycle: cycle.number)

    def _groups(self, numbers: range) -> list[_Group]:
        groups: dict[bytes, _Group] = {}
        for number in numbers:
            state = self._states[number]
            content = self._walk.content(state)
            digest = content.digest()
            group = groups.setdefault(digest, _Group(content, digest))
            group.numbers.append(number)
            printed_bytes = self._printed_bytes[state.records]
            group.promises.append(self._hearing.until(printed_bytes))
        return list(groups.values())

    def _cycle(self, number: int, group: _Group, judgement: Judgement) -> Cycle:
        state = self._states[number]
        found, unkept = self._found(number, judgement)
        return Cycle(
            number=number,
            landed=True,
            offset=state.offset,
            calls=state.calls,
            torn=state.torn,
            digest=group.digest,
            acknowledged=judgement.acknowledged,
            lost=judgement.lost,
            found=found,
            faults=judgement.faults,
            notes=judgement.notes + unkept,
        )

    def _found(self, number: int, judgement: Judgement) -> tuple[list[Found], list[str]]:
        """Keep each kind of violation once, and again where a coarser tear shows it.

        Returns also why a finding could not be kept.
        """
        state = self._states[number]
        found: list[Found] = []
        unkept: list[str] = []
        if self._findings.news(judgement.violations, state.tear):
            trace = trace_until(self._trace, state)
            found, unkept = self._findings.keep_news(
                judgement.violations, state.order(), Start(), trace, self._later
            )
        kept = {one.violation.kind for one in found}
        found += [Found(v, state.tear) for v in judgement.violations if v.kind not in kept]
        return found, unkept
