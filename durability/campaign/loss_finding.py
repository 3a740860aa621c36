"""What a power cut broke, made small and told: which lost operations, under which model.

One state of each kind of violation is taken. Of what it lost as much is given back as can be while
the same is still broken; then the same is looked for under more realistic models, and if one shows
it, that one is told and its state is kept.
"""

import shlex
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final, Self

import msgspec

from durability.audit.violation import Violation
from durability.campaign.course import Course
from durability.campaign.loss_explorer import LossExplorer, as_bytes
from durability.crash.loss_states import Draw, LossWalk
from durability.crash.models import Model
from durability.crash.moment import CrashState, Moment
from durability.crash.operations import Data, Operation, Shift
from durability.crash.plan import Plan
from durability.errors import CannotKeepError
from durability.report.crash_state import CrashStateCase, LossViolation, LostOperation, keep
from durability.trace.records import shown

_TRIES_MAX: Final = 200
_STATES_MAX: Final = 300
"""How many states a more realistic model gets to show the same."""

_SHOWN: Final = 3


class Shown:
    """Under which of the explored models a kind was seen, in how many states, and one of these.

    That is a state of a course, which is given by a number.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.states: dict[str, int] = {}
        self.first: dict[str, tuple[int, Draw]] = {}
        self.seen: dict[str, Violation] = {}

    def add(self, model: str, course: int, draw: Draw, violation: Violation) -> None:
        """Take one more state."""
        self.states[model] = self.states.get(model, 0) + 1
        self.first.setdefault(model, (course, draw))
        self.seen.setdefault(model, violation)

    def as_seen(self) -> LossViolation:
        """Return the violation as the most realistic of the models showed it, not made small."""
        seen = self.seen[self.model.name]
        return LossViolation(
            kind=seen.kind,
            invariant=seen.invariant,
            message=seen.message,
            subject=seen.subject,
            model=self.model.name,
            strongest_model=self.model.name,
        )

    @property
    def course(self) -> int:
        """Which course has that state of it."""
        return self.first[self.model.name][0]

    @property
    def model(self) -> Model:
        """The most realistic of the models."""
        return min(map(Model.named, self.states), key=lambda model: model.rarity)


class Scene(msgspec.Struct, frozen=True, array_like=True):
    """A state of a course by numbers, as `Draw`, and the model that permits it."""

    model: str
    moment: int
    kept: bytes

    @classmethod
    def of(cls, model: str, draw: Draw) -> Self:
        """Return the state that was drawn under a model."""
        return cls(model, draw.moment, as_bytes(draw.kept))

    def state(self, course: Course) -> CrashState:
        """Return the state itself, of the course that it was drawn from."""
        moment = LossWalk(Model.named(self.model), course.trace, course.since).at(self.moment)
        return moment.state(int.from_bytes(self.kept, "big"))


class Told(msgspec.Struct, frozen=True):
    """A violation as it is reported, and the state that shows it best.

    `seen` is one state of each explored model under which the course showed the same kind.
    """

    violation: LossViolation
    scene: Scene
    seen: list[Scene]

    @property
    def models(self) -> list[str]:
        """The models that showed it: those that were asked for, then the most realistic one."""
        return list(dict.fromkeys([*(one.model for one in self.seen), self.scene.model]))

    def scenes(self, model: str) -> list[Scene]:
        """Return the best state, and the one that was seen under a model."""
        return [self.scene, *(one for one in self.seen if one.model == model and one != self.scene)]


class LossFinder:
    """Tells what was broken in a course's states."""

    def __init__(self, explorer: LossExplorer, course: Course, explored: Sequence[str]) -> None:
        """Prepare; `explored` are the models whose states have been looked at already."""
        self._explorer = explorer
        self._course = course
        self._trace = course.trace
        self._explored = frozenset(explored)

    def tell(self, shown: Shown) -> Told:
        """Return a kind of violation as it is reported, made small."""
        model = shown.model
        _, draw = shown.first[model.name]
        moment = self._explorer.at(model, draw.moment)
        strongest, draw = self._most_realistic(shown.kind, model, draw, moment.acknowledged_bytes)
        moment = self._explorer.at(strongest, draw.moment)
        kept = self._smallest(moment, draw.kept, shown.kind)
        state = moment.state(kept)
        # What is seen once only, as by a recovery near its deadline, is a finding all the same.
        violation = self._violation(moment, kept, shown.kind) or shown.seen[model.name]
        circumstances = self._circumstances(shown, strongest, state)
        told = LossViolation(
            kind=violation.kind,
            invariant=violation.invariant,
            message=f"{violation.message} ({'; '.join(circumstances)})",
            subject=violation.subject,
            model=model.name,
            strongest_model=strongest.name,
            persisted=tuple(map(self._described, state.persisted)),
            lost=tuple(map(self._described, state.lost)),
        )
        seen = [
            Scene.of(name, first)
            for name, (course, first) in shown.first.items()
            if course == shown.course
        ]
        return Told(told, Scene.of(strongest.name, Draw(draw.moment, kept)), seen)

    def _violation(self, moment: Moment, kept: int, kind: str) -> Violation | None:
        judgement = self._explorer.judge(moment, kept)
        return next((found for found in judgement.violations if found.kind == kind), None)

    def _smallest(self, moment: Moment, kept: int, kind: str) -> int:
        """Return a set that has as much of what `kept` lost as can be, and breaks the same.

        Tried are ever smaller parts of it, as in delta debugging (Zeller and Hildebrandt 2002).
        """
        tries = 0
        size = len(_bits(moment.everything() & ~kept))
        while size:
            for part in _parts(_bits(moment.everything() & ~kept), size):
                more = moment.with_needed(kept | part)
                if more != kept and tries < _TRIES_MAX:
                    tries += 1
                    if self._violation(moment, more, kind):
                        kept = more
            size //= 2
        return kept

    def _most_realistic(
        self, kind: str, model: Model, draw: Draw, acknowledged_bytes: int
    ) -> tuple[Model, Draw]:
        """Return the first model, and a state of it, that shows a kind with as much promised.

        Models that lose all at once are not asked: their states cannot be made smaller. Where the
        course begins on what a cut left, what permits that is not to be less than it takes.
        """
        if self._course.left_by is not None:
            return model, draw
        for other in model.more_realistic():
            if other.name not in self._explored and other.keeps_unsynced:
                for found in self._states_with(other, acknowledged_bytes):
                    if self._violation(self._explorer.at(other, found.moment), found.kept, kind):
                        return other, found
        return model, draw

    def _states_with(self, model: Model, acknowledged_bytes: int) -> Iterator[Draw]:
        """Yield likely states of the moments at which so much had been printed."""
        seen: set[bytes] = set()
        for number, moment in enumerate(Plan(model, self._trace, self._course.since).moments()):
            if moment.acknowledged_bytes != acknowledged_bytes:
                continue
            for kept in chain(moment.forgotten(), moment.single()):
                digest = moment.digest(kept)
                if digest not in seen and len(seen) < _STATES_MAX:
                    seen.add(digest)
                    yield Draw(number, kept)

    def _circumstances(self, shown: Shown, model: Model, state: CrashState) -> Iterator[str]:
        counts = (f"{count} states of {name}" for name, count in shown.states.items())
        yield f"in {' and '.join(counts)}"
        if self._course.where:
            yield self._course.where
        if state.cut:
            yield f"cut after {self._trace.records[state.cut - 1]}"
        if state.lost:
            first = ", ".join(map(self._with_source, state.lost[:_SHOWN]))
            more = len(state.lost) - _SHOWN
            yield f"lost: {first}" + (f" and {more} more" if more > 0 else "")
        else:
            yield "nothing that was issued is lost"
        if model.name.startswith("posix"):
            yield "portability: no file system of today was seen to do that"

    def _with_source(self, operation: Operation) -> str:
        source = self._trace.sources.get(operation.record)
        return f"{operation} ({source})" if source else str(operation)

    def _described(self, operation: Operation) -> LostOperation:
        record = self._trace.records[operation.record]
        offset = operation.offset if isinstance(operation, Data | Shift) else None
        source = self._trace.sources.get(operation.record, "")
        return LostOperation(str(operation), str(record), shown(operation.path), offset, source)


class LossCases:
    """Keeps states as cases below a directory."""

    def __init__(self, target: str, name: str, where: str, later: Sequence[str]) -> None:
        """Prepare; `target` is what a replay calls it, `name` what people do."""
        self._target = target
        self._name = name
        self._where = where
        self._later = later

    def keep(self, violation: LossViolation, course: Course, state: CrashState) -> LossViolation:
        """Write a case; return the violation with the way to see it again, or why there is none."""
        *earlier, last = course.heard(state.acknowledged_bytes)
        case = CrashStateCase(
            target=self._target,
            heard=last.lines,
            later=list(self._later),
            of=course.of,
            earlier=earlier,
            violations=[violation],
            files=dict(state.content.files),
            links=dict(state.content.links),
            directories=sorted(state.content.directories),
        )
        try:
            path = keep(case, self._name, self._where)
        except CannotKeepError as error:
            message = f"{violation.message}; {error}"
            return msgspec.structs.replace(violation, message=message)
        return msgspec.structs.replace(
            violation, reproduce=f"durability replay {shlex.quote(path)}"
        )


def _bits(mask: int) -> list[int]:
    return [1 << at for at in range(mask.bit_length()) if mask >> at & 1]


def _parts(bits: Sequence[int], size: int) -> Iterator[int]:
    """Yield masks of so many of the bits each."""
    for start in range(0, len(bits), size):
        yield sum(bits[start : start + size])
