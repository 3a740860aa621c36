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
from durability.campaign.cycle import Plan
from durability.campaign.loss_explorer import Explored, LossExplorer, as_bytes
from durability.campaign.loss_finding import LossCases, LossFinder, Shown, Told
from durability.campaign.workers import Work, WorkerError, Workers, run_alone
from durability.confirmation.confirmation import confirm, impossible
from durability.crash.loss_states import Draw, LossStates
from durability.crash.models import Model
from durability.crash.plan import Plan as StatesPlan
from durability.errors import DurabilityError
from durability.recording import traced
from durability.report.crash_state import LossViolation
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
    `confirm` asks to show what is found on real file systems, too.
    """

    models: tuple[str, ...]
    states: int = STATES
    explicit: bool = False
    exhaustive: bool = False
    jobs: int = 1
    budget_s: float | None = None
    at_first: bool = False
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
        try:
            exploration.explore(progress)
        except KeyboardInterrupt:
            exploration.reasons.append("interrupted")
        except WorkerError as error:
            exploration.reasons.append(str(error))
        violations = exploration.violations()
    return Result(
        command="powerloss",
        seed=plan.seed,
        elapsed_s=time.monotonic() - began,
        figures=exploration.figures(),
        violations=[*violations],
        reasons=tally.most_important([*exploration.reasons, *exploration.doubts()]),
        notes=exploration.notes,
    )


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
        self._later = self._measured.announced
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
        self._explored = dict.fromkeys(scope.models, 0)
        self._broken = dict.fromkeys(scope.models, 0)
        self._shown: dict[str, Shown] = {}
        self._promised = dict.fromkeys(scope.models, 0)
        self._exploring_s = 0.0
        self.reasons = list(self._measured.faults)
        self.notes = list(self._measured.notes)
        why_not = impossible(scope.models) if scope.confirm else None
        self._confirms = scope.confirm and why_not is None
        if why_not is not None:
            self.reasons.append(f"nothing can be confirmed here: {why_not}")

    def explore(self, progress: Progress) -> None:
        """Recover and judge the states, in batches, one model after the other."""
        began = time.monotonic()
        with Workers(self._scope.jobs, self._exploring) as workers:
            for number, (name, states) in enumerate(self._states.items(), start=1):
                until = self._until(number / len(self._states))
                for outcome in workers.map(self._batches(name, states), until):
                    item = msgspec.msgpack.decode(outcome, type=_Item)
                    assert item.explored is not None
                    self._take(name, item.explored)
                    progress(item.explored)
                    self._exploring_s = time.monotonic() - began
                if until is not None and time.monotonic() >= until:
                    self._note_time(name)

    def _until(self, share: float) -> float | None:
        budget_s = self._scope.budget_s
        return None if budget_s is None else self._began + budget_s * share

    def _note_time(self, name: str) -> None:
        explored = self._explored[name]
        if self._scope.exhaustive:
            self.reasons.append(f"time was up after {explored} states of {name}")
        elif self._scope.explicit and explored < self._scope.states:
            of = f"{explored} of {self._scope.states}"
            self.reasons.append(f"time was up after {of} states of {name}")

    def _batches(self, name: str, states: LossStates) -> Iterator[bytes]:
        size = _BATCH_STATES if self._target.recovers_by_call else _BATCH_PROGRAM_STATES
        draws = iter(states)
        while batch := [(draw.moment, as_bytes(draw.kept)) for draw in islice(draws, size)]:
            if self._broken[name] >= (1 if self._scope.at_first else _BROKEN_MAX):
                return
            yield msgspec.msgpack.encode(_Item(name, batch))

    @contextmanager
    def _exploring(self, control: int) -> Iterator[Work]:
        del control
        directory = self._plan.directory
        with LossExplorer(self._target, directory, self._trace, self._later) as explorer:

            def work(data: bytes) -> bytes:
                item = msgspec.msgpack.decode(data, type=_Item)
                draws = [Draw(moment, int.from_bytes(kept, "big")) for moment, kept in item.draws]
                explored = explorer.explore(Model.named(item.model), draws)
                return msgspec.msgpack.encode(_Item(item.model, explored=explored))

            yield work

    def _take(self, name: str, explored: Explored) -> None:
        self._explored[name] += explored.states
        self._promised[name] += explored.promised
        self._broken[name] += len(explored.broken)
        for broken in explored.broken:
            for kind, violation in {found.kind: found for found in broken.violations}.items():
                self._shown.setdefault(kind, Shown(kind)).add(name, broken.draw, violation)
        self.reasons += [fault for fault in explored.faults if fault not in self.reasons]
        self.notes += [note for note in explored.notes if note not in self.notes]

    def violations(self) -> list[LossViolation]:
        """Return one violation of each kind, made small, and keep its state."""
        if not self._shown:
            return []
        name = self._target.name
        cases = LossCases(
            self._plan.target_name, name, self._plan.findings, self._trace, sorted(self._later)
        )

        def work(control: int) -> bytes:
            del control
            directory = self._plan.directory
            with LossExplorer(self._target, directory, self._trace, self._later) as explorer:
                finder = LossFinder(explorer, self._trace, tuple(self._states))
                told = [finder.tell(shown) for _, shown in sorted(self._shown.items())]
            return msgspec.msgpack.encode(told)

        try:
            told = msgspec.msgpack.decode(run_alone(work), type=list[Told])
        except (DurabilityError, KeyboardInterrupt) as error:
            # What was seen has been seen.
            self.reasons.append(f"not made small: {str(error) or 'interrupted'}")
            seen = [shown.as_seen() for _, shown in sorted(self._shown.items())]
            return [self._in_doubt(violation) for violation in seen]
        if self._confirms:
            told = self._confirmed(told)
        return [
            self._in_doubt(cases.keep(one.violation, one.scene.state(self._trace))) for one in told
        ]

    def _confirmed(self, told: list[Told]) -> list[Told]:
        """Try to show the findings on the file systems that their models are of."""
        place = os.path.join(self._plan.directory, "file-system")
        os.mkdir(place)
        try:
            confirmed = confirm(self._target, self._trace, self._later, told, place)
        except (DurabilityError, KeyboardInterrupt) as error:
            self.reasons.append(f"not confirmed: {str(error) or 'interrupted'}")
            return told
        self.notes += confirmed.notes
        return confirmed.findings

    def _in_doubt(self, violation: LossViolation) -> LossViolation:
        """Say of a violation that the description of the target may be wrong, where it may."""
        if violation.kind not in self._measured.violated:
            return violation
        message = f"{violation.message}; also without any cut: is the description right?"
        return msgspec.structs.replace(violation, message=message)

    def figures(self) -> dict[str, Any]:
        """Return the figures by the names that they have in the JSON."""
        explored = sum(self._explored.values())
        lines = self._trace.lines()
        speech = self._target.speech
        return {
            "target": self._target.name,
            "operations": len(self._trace.records),
            "acks": sum(speech.acknowledged.search(line) is not None for line in lines),
            "models": {name: self._figures_of(name) for name in self._states},
            "explored": explored,
            "promised": sum(self._promised.values()),
            "states_per_second": round(explored / self._exploring_s) if explored else 0,
            "untraceable": self._trace.untraceable(),
        }

    def _figures_of(self, name: str) -> dict[str, Any]:
        states = self._states[name]
        legal, is_lower_bound = StatesPlan(Model.named(name), self._trace).count()
        return {
            "legal": max(legal, states.distinct),
            "legal_is_lower_bound": is_lower_bound,
            "explored": self._explored[name],
            "distinct": states.distinct,
            "violations": self._broken[name],
        }

    def doubts(self) -> list[str]:
        """Return why the states may show nothing."""
        if not any(self._explored.values()):
            return ["no state was explored: the time was too short"]
        doubts = [
            f"no state of {name} was explored: the time was too short"
            for name, explored in self._explored.items()
            if not explored
        ]
        silent = [
            name for name, count in self._explored.items() if count and not self._promised[name]
        ]
        if silent:
            doubts.append(
                f"nothing was acknowledged before any of the cuts of {', '.join(silent)}: does the"
                " program print its acknowledgements, and flush its standard output after each?"
            )
        return doubts
