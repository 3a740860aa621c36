"""Power cuts: every state that a cut may leave of one run, under named models, is recovered.

target -> trace -> crash states -> recovery -> audit -> report

One run is traced. Under a model, some of what it did since its last syncs may be on disk and some
may not; `crash/` says which sets are possible. The likely ones come first, then drawn ones, each
content once for each amount of output; what recovery makes of them is judged as after a kill.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from durability.campaign import tally
from durability.campaign.course import Course
from durability.campaign.cycle import Plan
from durability.campaign.known_recoveries import KnownRecoveries
from durability.campaign.loss_explorer import Explored, LossExplorer, as_bytes
from durability.campaign.loss_finding import Told
from durability.campaign.loss_tally import Confirming, LossTally
from durability.campaign.workers import Work, WorkerError, Workers
from durability.confirmation.confirmation import confirm, impossible
from durability.crash.loss_states import Draw, LossStates
from durability.crash.models import Model
from durability.crash.plan import Plan as StatesPlan
from durability.errors import DurabilityError
from durability.recording import traced
from durability.report.result import Result
from durability.targets.contract import Target

_BATCH_STATES: Final = 256
_BATCH_PROGRAM_STATES: Final = 8
"""Where each state takes a process, a batch saves nothing, and keeps others waiting."""

_BROKEN_MAX: Final = 1000
"""So many states of a model in which something is broken are enough."""

STATES: Final = 5000
"""How many states of each model are looked at where nobody says."""

Progress = Callable[[Explored], None]


class LossScope(msgspec.Struct, frozen=True, kw_only=True):
    """How much to do: up to `states` of each model, or all of them where `exhaustive`.

    `explicit` says that the user asked for so many, so that less for want of time shows nothing.
    `at_first` ends the exploration of a model with the first batch in which something is broken.
    With `pruning` a state that recovery cannot tell from another one is not recovered.
    `confirm` asks to show what is found on real file systems, too.
    """

    models: tuple[str, ...]
    states: int = STATES
    explicit: bool = False
    exhaustive: bool = False
    jobs: int = 1
    budget_s: float | None = None
    at_first: bool = False
    pruning: bool = True
    confirm: bool = False


def power_loss(target: Target, plan: Plan, scope: LossScope, progress: Progress) -> Result:
    """Recover and judge the states that a power cut may leave of one run.

    Raises MechanismError where the target cannot be started or traced, VacuousError where a run
    changes nothing, InconclusiveError where a run changes more than its trace shows.
    """
    began = time.monotonic()
    with TemporaryDirectory(prefix="durability-", dir=plan.directory) as base:
        plan = msgspec.structs.replace(plan, directory=base)
        exploration = _Exploration(target, plan, scope, began)
        outcome = exploration.tally
        try:
            exploration.explore(progress)
        except KeyboardInterrupt:
            outcome.reasons.append("interrupted")
        except WorkerError as error:
            outcome.reasons.append(str(error))
        violations = outcome.violations(confirming(target, plan, scope, outcome))
        figures = exploration.figures()
    outcome.reasons += [
        f"{name}: {of['distinct']} contents were explored, but {of['legal']} counted as all"
        for name, of in figures["models"].items()
        if of["distinct"] > of["legal"]
    ]
    return Result(
        command="powerloss",
        seed=plan.seed,
        elapsed_s=time.monotonic() - began,
        figures=figures,
        violations=[*violations],
        reasons=tally.most_important([*outcome.reasons, *outcome.doubts()]),
        notes=outcome.notes,
    )


def confirming(target: Target, plan: Plan, scope: LossScope, tally: LossTally) -> Confirming | None:
    """Return what shows findings on the file systems of their models; None if not asked for.

    What it cannot do the tally is told.
    """
    if not scope.confirm:
        return None
    why_not = impossible(scope.models)
    if why_not is not None:
        tally.reasons.append(f"nothing can be confirmed here: {why_not}")
        return None

    def confirmed(found: list[tuple[Course, Told]]) -> list[Told]:
        place = os.path.join(plan.directory, "file-system")
        os.mkdir(place)
        try:
            outcome = confirm(target, tally.announced, found, place)
        except (DurabilityError, KeyboardInterrupt) as error:
            tally.reasons.append(f"not confirmed: {str(error) or 'interrupted'}")
            return [told for _, told in found]
        tally.notes += outcome.notes
        return outcome.findings

    return confirmed


class _Item(msgspec.Struct, frozen=True, array_like=True):
    """A batch of states of one model, and what became of it."""

    model: str
    draws: list[tuple[int, bytes]] = []
    explored: Explored | None = None


class _Exploration:
    """One trace, the states of each model, and what has become of them so far."""

    def __init__(self, target: Target, plan: Plan, scope: LossScope, began: float) -> None:
        self._target = target
        self._plan = plan
        self._scope = scope
        self._began = began
        self._trace, self._measured = traced(target, plan, with_sources=True)
        self._states = {
            name: LossStates(
                Model.named(name),
                self._trace,
                seed=plan.seed,
                limit=None if scope.exhaustive else scope.states,
                exhaustive=scope.exhaustive,
            )
            for name in scope.models
        }
        self._course = Course(self._trace)
        self._exploring_s = 0.0
        self.tally = LossTally(target, plan, self._measured, scope.models)

    def explore(self, progress: Progress) -> None:
        """Recover and judge the states, in batches, one model after the other."""
        began = time.monotonic()
        with Workers(self._scope.jobs, self._exploring) as workers:
            for number, (name, states) in enumerate(self._states.items(), start=1):
                until = self._until(number / len(self._states))
                for outcome in workers.map(self._batches(name, states), until):
                    item = msgspec.msgpack.decode(outcome, type=_Item)
                    assert item.explored is not None
                    self.tally.take(name, self._course, item.explored)
                    progress(item.explored)
                    self._exploring_s = time.monotonic() - began
                if until is not None and time.monotonic() >= until:
                    self._note_time(name)

    def _until(self, share: float) -> float | None:
        budget_s = self._scope.budget_s
        return None if budget_s is None else self._began + budget_s * share

    def _note_time(self, name: str) -> None:
        explored = self.tally.explored[name]
        if self._scope.exhaustive:
            self.tally.reasons.append(f"time was up after {explored} states of {name}")
        elif self._scope.explicit and explored < self._scope.states:
            of = f"{explored} of {self._scope.states}"
            self.tally.reasons.append(f"time was up after {of} states of {name}")

    def _batches(self, name: str, states: LossStates) -> Iterator[bytes]:
        size = _BATCH_STATES if self._target.recovers_by_call else _BATCH_PROGRAM_STATES
        draws = iter(states)
        while batch := [(draw.moment, as_bytes(draw.kept)) for draw in islice(draws, size)]:
            if self.tally.broken[name] >= (1 if self._scope.at_first else _BROKEN_MAX):
                return
            yield msgspec.msgpack.encode(_Item(name, batch))

    @contextmanager
    def _exploring(self, control: int) -> Iterator[Work]:
        del control
        directory, later = self._plan.directory, self._measured.announced
        known = KnownRecoveries() if self._scope.pruning else None
        with LossExplorer(self._target, directory, self._course, later, known) as explorer:

            def work(data: bytes) -> bytes:
                item = msgspec.msgpack.decode(data, type=_Item)
                draws = [Draw(moment, int.from_bytes(kept, "big")) for moment, kept in item.draws]
                explored = explorer.explore(Model.named(item.model), draws)
                return msgspec.msgpack.encode(_Item(item.model, explored=explored))

            yield work

    def figures(self) -> dict[str, Any]:
        """Return the figures by the names that they have in the JSON."""
        lines = self._trace.lines()
        speech = self._target.speech
        return {
            "target": self._target.name,
            "operations": len(self._trace.records),
            "acks": sum(speech.acknowledged.search(line) is not None for line in lines),
            "models": {name: self._figures_of(name) for name in self._states},
            **self.tally.figures(self._exploring_s),
            "untraceable": self._trace.untraceable(),
        }

    def _figures_of(self, name: str) -> dict[str, Any]:
        states = self._states[name]
        legal, is_lower_bound = StatesPlan(Model.named(name), self._trace).count()
        return {
            "legal": max(legal, states.distinct) if is_lower_bound else legal,
            "legal_is_lower_bound": is_lower_bound,
            "explored": self.tally.explored[name],
            "distinct": states.distinct,
            "violations": self.tally.broken[name],
        }
