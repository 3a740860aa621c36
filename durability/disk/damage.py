"""What a program makes of a disk that has lost or changed what it had acknowledged.

No single node can keep its promises on such a disk, so that something is missing is no violation by
itself. The rule:

- **refused** (recovery fails, or the node stays out of elections), or **intact** (nothing that was
  acknowledged is missing): as it should be;
- what a recovery breaks by itself, such as a log with a hole behind it, no damage excuses;
- shown as good is what was never written, or in a wrong order: `damage-served`;
- acknowledged items are missing, nothing was said, and the files prove the loss: `damage-hidden`.
  For the built-in node the second reader of its format says what they prove;
- **lost**: missing without a word, but nothing on the disk proves it. A drive that goes back to an
  older state of everything is like that. Rot is not, but in the tail of a log: one that ends in the
  middle of its last batch is what a power cut leaves, too.

Of another program's files nothing is known. Rot that makes it pass over more than its last item is
`damage-hidden`; what a lying drive lost counts as lost. Where its own audit raises and items are
missing, too, nobody can tell whether it is about more than these: that is **untold**.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

import msgspec

from durability.audit.data_directory import DirectoryInMemory
from durability.audit.guarantees import breach
from durability.audit.judgement import Judgement, audit_before
from durability.audit.promises import Heard, Promises
from durability.audit.recovered import DirectoryAudit
from durability.audit.violation import Violation
from durability.campaign.bench import Bench
from durability.campaign.cycle import Plan
from durability.campaign.workers import Work, Workers
from durability.crash.content import Content
from durability.disk.faults import FAULTS, LABELS
from durability.disk.outcome import Outcome
from durability.disk.scope import DiskScope
from durability.targets.contract import Target
from durability.trace.trace import Trace

End = Literal["refused", "intact", "lost", "wrong", "untold"]
"""How damage was met; `wrong` is where a guarantee was broken."""

_SERVED: Final = frozenset({"invented", "duplicated", "order"})
_REFUSED: Final = frozenset({"recovery-failed"})
_STAYS_OUT: Final = frozenset({"not-elected", "not-accepting"})
"""Both: who leads again, but in a term that was there before, has forgotten and not refused."""
_MISSING: Final = frozenset({"lost", "not-a-member", "term-regressed", "vote-changed"})
"""What was promised, and what is missing on the disk may break."""
_FORGETS: Final = _MISSING | {"not-elected"}
_UNTOLD: Final = "its own audit does not tell what is missing from what is wrong"
_BATCH: Final = 32


class Damaged(msgspec.Struct, frozen=True):
    """A damaged disk; `end` is how many records of the run there were when it was met."""

    how: str
    content: Content
    end: int


@dataclass(frozen=True)
class TracedRun:
    """The run whose disk is damaged: at rest, or by a drive that lied. `later` as for `Ledger`."""

    trace: Trace
    later: frozenset[str]
    is_rot: bool


class _Met(msgspec.Struct, frozen=True):
    how: str
    end: End
    acknowledged: int
    violations: list[Violation]
    faults: list[str]


def meet_damage(
    target: Target,
    plan: Plan,
    scope: DiskScope,
    fault: str,
    run: TracedRun,
    states: Iterable[Damaged],
) -> Outcome:
    """Recover each of the states that a fault has made of what a run left; judge by the rule."""

    @contextmanager
    def recovering(control: int) -> Iterator[Work]:
        del control
        with Bench(target, plan.directory) as bench:
            judging = _Judging(target, bench, run)
            yield lambda item: msgspec.msgpack.encode(
                judging.judge(msgspec.msgpack.decode(item, type=list[Damaged]))
            )

    def batches() -> Iterator[bytes]:
        rest = iter(states)
        while batch := list(islice(rest, _BATCH)):
            yield msgspec.msgpack.encode(batch)

    outcome = Outcome()
    with Workers(scope.jobs, recovering) as workers:
        for result in workers.map(batches(), scope.until):
            for met in msgspec.msgpack.decode(result, type=list[_Met]):
                outcome.fired += 1
                outcome.ended(met.end)
                told = [_told(violation, fault, met) for violation in met.violations]
                outcome.add(told, met.acknowledged, met.faults)
    return outcome


def _told(violation: Violation, fault: str, met: _Met) -> Violation:
    label = LABELS[FAULTS[fault].family]
    return msgspec.structs.replace(violation, message=f"{violation.message} ({label}: {met.how})")


class _Judging:
    """Judges damaged disks of one run in this process."""

    def __init__(self, target: Target, bench: Bench, run: TracedRun) -> None:
        self._target = target
        self._bench = bench
        self._run = run

    def judge(self, states: list[Damaged]) -> list[_Met]:
        """Recover and judge each."""
        cases = [(state.content, [self._promises(state.end)]) for state in states]
        judgements = self._bench.judge_all(cases)
        return [self._met(s, j) for s, j in zip(states, judgements, strict=True)]

    def _promises(self, end: int) -> Promises:
        trace = self._run.trace
        lines = Trace(trace.initial, trace.records[:end]).lines()
        return Promises.of(self._target, [Heard("run", lines)], self._run.later)

    def _met(self, state: Damaged, judgement: Judgement) -> _Met:
        before = self._audit(state.content)
        acknowledged = self._promises(state.end).ledger.acknowledged
        last = acknowledged[-1] if acknowledged else None
        end, violations = ended(judgement, before, last, is_rot=self._run.is_rot)
        faults = [*judgement.faults, *([_UNTOLD] if end == "untold" else [])]
        return _Met(state.how, end, judgement.acknowledged, violations, faults)

    def _audit(self, content: Content) -> DirectoryAudit | None:
        files = {os.fsdecode(path): data for path, data in content.files.items()}
        return audit_before(self._target, DirectoryInMemory("memory", files))


def ended(
    judgement: Judgement, before: DirectoryAudit | None, last: str | None, *, is_rot: bool
) -> tuple[End, list[Violation]]:
    """Return how a recovery of a damaged disk met the damage, and what of that is a violation.

    `before` is what the second reader of the format says of the damaged disk, None where there is
    none; `last` is the item that was acknowledged last.
    """
    at_rest = {(v.kind, v.message) for v in before.violations} if before is not None else set()
    met = [v for v in judgement.violations if (v.kind, v.message) not in at_rest]
    kinds = {violation.kind for violation in met}
    if kinds - _SERVED - _REFUSED - _STAYS_OUT - _MISSING - {"audit"}:
        return "wrong", met
    if kinds & _SERVED:
        served = "; ".join(v.message for v in met if v.kind in _SERVED)
        return "wrong", [breach("damage-served", served)]
    if "audit" in kinds:
        return ("untold", []) if judgement.lost else ("wrong", met)
    if kinds & _REFUSED or kinds >= _STAYS_OUT:
        return "refused", []
    if not kinds:
        return "intact", []
    if kinds - _FORGETS:
        return "wrong", met
    if _is_proven(judgement, before, last, is_rot=is_rot):
        return "wrong", [breach("damage-hidden", "; ".join(v.message for v in met))]
    return "lost", []


def _is_proven(
    judgement: Judgement, before: DirectoryAudit | None, last: str | None, *, is_rot: bool
) -> bool:
    """Tell whether the files show that something is missing, other than what a torn tail takes."""
    if before is None:
        return is_rot and (judgement.lost > 1 or last in judgement.recovered)
    return before.verdict == "violation" or (is_rot and before.tail == "clean")
