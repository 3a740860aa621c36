"""Recovering and judging kill states of one trace: what a worker of an exploration does.

Fast where it can be, sure where it must be. States with the same content are recovered once and
judged against what had been promised in each of them: of two moments the later one has promised
more, but the earlier one has announced less, so neither can stand for both.

Where recovery is a function of ours, a batch of states is recovered in one forked process. It
vouches for all of its states or for none: whatever goes wrong in it - a violation, an exception, a
hang, a crash, something left behind - every state of the batch is recovered again in a process of
its own, as after a real kill, and only that is believed. Programs always take that way.
"""

import copy
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

import msgspec

from durability.audit.judgement import Judgement, audit_before, judge
from durability.audit.promises import Heard, Promises
from durability.batch import vouch, vouched
from durability.crash.content import Content
from durability.crash.kill_states import KillState, Walk, trace_until
from durability.crash_cycle import Cycle, Found, Plan, announced, is_coarser
from durability.errors import CannotKeepError
from durability.recovery import process
from durability.recovery.recovery import recover
from durability.report.finding import Finding, keep
from durability.targets.contract import Call, Target, Tear
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
        self, target: Target, plan: Plan, trace: Trace, states: Sequence[KillState]
    ) -> None:
        """Prepare; `states` are all those of the trace."""
        self._target = target
        self._plan = plan
        self._trace = trace
        self._states = states
        self._walk = Walk(trace)
        self._later = announced(target, trace)
        self._heard = _Hearing(target, trace, self._later)
        self._parent = os.getppid()
        self._base = tempfile.mkdtemp(dir=plan.directory)
        self._directory = os.path.join(self._base, "data")
        self._batched = isinstance(target.recovery(self._base), Call)
        self._kept: dict[str, Tear] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._base, ignore_errors=True)
        if os.getppid() != self._parent:  # the harness was killed: the last worker tidies up
            with suppress(OSError):
                os.rmdir(self._plan.directory)

    def explore(self, numbers: range) -> list[Cycle]:
        """Return what becomes of these states, in their order."""
        groups = self._groups(numbers)
        cycles = (self._vouched(groups) if self._batched else None) or self._one_by_one(groups)
        return sorted(cycles, key=lambda cycle: cycle.number)

    def _groups(self, numbers: range) -> list[_Group]:
        groups: dict[bytes, _Group] = {}
        for number in numbers:
            state = self._states[number]
            content = self._walk.content(state)
            digest = content.digest()
            group = groups.setdefault(digest, _Group(content, digest))
            group.numbers.append(number)
            group.promises.append(self._heard.until(state))
        return list(groups.values())

    # In one process.

    def _vouched(self, groups: list[_Group]) -> list[Cycle] | None:
        """Return what becomes of states for which all went well; None if one did not."""
        timeout_s = self._target.recovery_timeout_s * len(groups)
        cases = [(group.content, group.promises) for group in groups]
        work = partial(vouch, self._target, self._directory, cases)
        ended = process.run(Call(work), timeout_s=timeout_s)
        shutil.rmtree(self._directory, ignore_errors=True)
        if ended.exit_status != 0 or not ended.stdout:
            return None
        states = ((group, number) for group in groups for number in group.numbers)
        return [
            self._cycle(number, group, judgement)
            for (group, number), judgement in zip(states, vouched(ended.stdout), strict=True)
        ]

    # In a process for each.

    def _one_by_one(self, groups: list[_Group]) -> Iterator[Cycle]:
        for group in groups:
            directory = self._directory
            os.mkdir(directory, 0o700)
            try:
                group.content.write_to(os.fsencode(directory))
                before = audit_before(self._target, directory)
                recovery = recover(self._target, directory)
                for number, promises in zip(group.numbers, group.promises, strict=True):
                    judgement = judge(self._target, promises, directory, before, recovery)
                    found, unkept = self._found(number, judgement)
                    cycle = self._cycle(number, group, judgement)
                    notes = cycle.notes + unkept
                    yield msgspec.structs.replace(cycle, found=found, notes=notes)
            finally:
                shutil.rmtree(directory)

    def _found(self, number: int, judgement: Judgement) -> tuple[list[Found], list[str]]:
        """Keep each kind of violation once, and again where a coarser tear shows it.

        Returns also why a finding could not be kept.
        """
        if not judgement.violations:
            return [], []
        state = self._states[number]
        kinds = {violation.kind for violation in judgement.violations}
        new = {kind for kind in kinds if self._is_new(kind, state.tear)}
        folder, unkept = None, []
        if new:
            finding = Finding(
                target=self._plan.target_name,
                at=str(state.order()),
                tear=state.tear,
                seed=self._plan.seed,
                violations=judgement.violations,
                later=sorted(self._later),
            )
            trace = trace_until(self._trace, state)
            try:
                folder = keep(finding, trace, self._target.name, self._plan.findings)
            except CannotKeepError as error:
                unkept.append(str(error))
            self._kept.update(dict.fromkeys(new, state.tear))
        found = [
            Found(violation, state.tear, folder if violation.kind in new else None)
            for violation in judgement.violations
        ]
        return found, unkept

    def _is_new(self, kind: str, tear: Tear) -> bool:
        kept = self._kept.get(kind)
        return kept is None or is_coarser(tear, kept)

    def _cycle(self, number: int, group: _Group, judgement: Judgement) -> Cycle:
        state = self._states[number]
        return Cycle(
            number=number,
            landed=True,
            offset=state.offset,
            calls=state.calls,
            torn=state.torn,
            digest=group.digest,
            acknowledged=judgement.acknowledged,
            lost=judgement.lost,
            faults=judgement.faults,
            notes=judgement.notes,
        )


class _Hearing:
    """What a trace's run had promised in its states, for states that are asked for in order."""

    def __init__(self, target: Target, trace: Trace, later: frozenset[str]) -> None:
        self._lines = list(trace.lines())
        self._promises = Promises(target, later=later)
        self._records = trace.records
        self._read = 0
        self._heard = 0

    def until(self, state: KillState) -> Promises:
        """Return the promises of the whole lines that were printed by then."""
        records = self._records[self._read : state.records]
        self._read = state.records
        new = sum(record.data.count(b"\n") for record in records if isinstance(record, Output))
        if new:
            # Those handed out before stay as they are.
            self._promises = copy.deepcopy(self._promises)
            lines = self._lines[self._heard : self._heard + new]
            self._promises.hear(Heard("run", lines))
            self._heard += new
        return self._promises
