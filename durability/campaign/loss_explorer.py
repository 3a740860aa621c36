"""Recovering and judging what power cuts left of one course: what a worker does."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec

from durability.audit.judgement import Judgement
from durability.audit.promises import Promises
from durability.audit.violation import Violation
from durability.campaign.bench import Bench
from durability.campaign.course import Course
from durability.campaign.hearing import Hearing
from durability.campaign.known_recoveries import KnownRecoveries
from durability.crash.content import Content
from durability.crash.loss_states import Draw, LossWalk
from durability.crash.models import Model
from durability.crash.moment import Moment
from durability.targets.contract import Target


class Broken(msgspec.Struct, frozen=True, array_like=True):
    """A state in which something was broken."""

    moment: int
    kept: bytes
    violations: list[Violation]

    @property
    def draw(self) -> Draw:
        """The state."""
        return Draw(self.moment, int.from_bytes(self.kept, "big"))

    @classmethod
    def at(cls, draw: Draw, violations: list[Violation]) -> Self:
        """Return the state with what was broken in it."""
        return cls(draw.moment, as_bytes(draw.kept), violations)


class Explored(msgspec.Struct, frozen=True, array_like=True):
    """What became of a batch of states: of how many, and how many of them were promised something.

    What became of the `pruned` ones was known without recovering them. `faults` are reasons why a
    state shows nothing.
    """

    states: int
    promised: int
    pruned: int
    broken: list[Broken]
    faults: list[str]
    notes: list[str]


def as_bytes(kept: int) -> bytes:
    """Return a mask as bytes, the highest first."""
    return kept.to_bytes(-(-kept.bit_length() // 8), "big")


class _Group(msgspec.Struct, frozen=True):
    """States of one content, and what had been promised in each."""

    content: Content
    draws: list[Draw] = []
    promises: list[Promises] = []


class LossExplorer:
    """Judges states of one course; a context manager that tidies up."""

    def __init__(
        self,
        target: Target,
        directory: str,
        course: Course,
        later: frozenset[str],
        known: KnownRecoveries | None = None,
    ) -> None:
        """Prepare to recover below `directory` what is not `known`; `later` as for `Ledger`."""
        self._course = course
        self._hearing = Hearing(target, course, later)
        self._known = known
        self._bench = Bench(target, directory, known)
        self._walks: dict[str, LossWalk] = {}

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

    def explore(self, model: Model, draws: Sequence[Draw]) -> Explored:
        """Return what becomes of these states."""
        groups = self._groups(model, draws)
        pruned = self._bench.pruned
        judgements = self._bench.judge_all([(group.content, group.promises) for group in groups])
        judged = list(
            zip((draw for group in groups for draw in group.draws), judgements, strict=True)
        )
        return Explored(
            states=len(judged),
            promised=sum(judgement.acknowledged > 0 for _, judgement in judged),
            pruned=self._bench.pruned - pruned,
            broken=[Broken.at(draw, j.violations) for draw, j in judged if j.violations],
            faults=sorted({*self._contradictions(), *(f for _, j in judged for f in j.faults)}),
            notes=sorted({note for _, judgement in judged for note in judgement.notes}),
        )

    def _contradictions(self) -> list[str]:
        return [self._known.contradiction] if self._known and self._known.contradiction else []

    def at(self, model: Model, number: int) -> Moment:
        """Return a moment of the course under a model, to be used until the next is asked for."""
        if model.name not in self._walks:
            self._walks[model.name] = LossWalk(model, self._course.trace, self._course.since)
        return self._walks[model.name].at(number)

    def judge(self, moment: Moment, kept: int) -> Judgement:
        """Recover one state of a moment in a process of its own, and judge it."""
        promises = self._hearing.until(moment.acknowledged_bytes)
        (judgement,) = self._bench.judge_alone(moment.state(kept).content, [promises])
        return judgement

    def _groups(self, model: Model, draws: Sequence[Draw]) -> list[_Group]:
        groups: dict[bytes, _Group] = {}
        for draw in draws:
            moment = self.at(model, draw.moment)
            digest = moment.digest(draw.kept)
            if digest not in groups:
                groups[digest] = _Group(moment.state(draw.kept).content)
            groups[digest].draws.append(draw)
            groups[digest].promises.append(self._hearing.until(moment.acknowledged_bytes))
        return list(groups.values())
