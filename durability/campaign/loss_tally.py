"""What the states of an exploration of power cuts amount to: figures, violations, doubts."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from durability.campaign.course import Course
from durability.campaign.cycle import Measured, Plan
from durability.campaign.loss_explorer import Explored, LossExplorer
from durability.campaign.loss_finding import LossCases, LossFinder, Shown, Told
from durability.campaign.workers import run_alone
from durability.errors import DurabilityError
from durability.report.crash_state import LossViolation
from durability.targets.contract import Target

Confirming = Callable[[list[tuple[Course, Told]]], list[Told]]
"""Tries to show findings of courses on real file systems; returns as many, in their order."""


class LossTally:
    """What has become of the states of each model so far.

    `explored` and `broken` count them by model, `reasons` say why they may show nothing.
    """

    def __init__(
        self, target: Target, plan: Plan, measured: Measured, models: Sequence[str]
    ) -> None:
        self.explored = dict.fromkeys(models, 0)
        self.broken = dict.fromkeys(models, 0)
        self.reasons = list(measured.faults)
        self.notes = list(measured.notes)
        self.announced = measured.announced
        self._target = target
        self._plan = plan
        self._violated = measured.violated
        self._promised = dict.fromkeys(models, 0)
        self._pruned = 0
        self._shown: dict[str, Shown] = {}
        self._courses: list[Course] = []

    def take(self, model: str, course: Course | None, explored: Explored) -> None:
        """Take what became of states of a course, which is needed where any is broken."""
        self.explored[model] += explored.states
        self._promised[model] += explored.promised
        self._pruned += explored.pruned
        self.broken[model] += len(explored.broken)
        if explored.broken:
            assert course is not None
            if course not in self._courses[-1:]:
                self._courses.append(course)
        for broken in explored.broken:
            for kind, violation in {found.kind: found for found in broken.violations}.items():
                shown = self._shown.setdefault(kind, Shown(kind))
                shown.add(model, len(self._courses) - 1, broken.draw, violation)
        self.reasons += [fault for fault in explored.faults if fault not in self.reasons]
        self.notes += [note for note in explored.notes if note not in self.notes]

    def violations(self, confirmed: Confirming | None) -> list[LossViolation]:
        """Return one violation of each kind, made small, confirmed if asked for, and kept."""
        if not self._shown:
            return []
        kinds = [shown for _, shown in sorted(self._shown.items())]
        try:
            told = msgspec.msgpack.decode(
                run_alone(lambda _: msgspec.msgpack.encode(list(map(self._tell, kinds)))),
                type=list[Told],
            )
        except (DurabilityError, KeyboardInterrupt) as error:
            # What was seen has been seen.
            self.reasons.append(f"not made small: {str(error) or 'interrupted'}")
            return [self._in_doubt(shown.as_seen()) for shown in kinds]
        courses = [self._courses[shown.course] for shown in kinds]
        if confirmed is not None:
            told = confirmed(list(zip(courses, told, strict=True)))
        return [
            self._in_doubt(self._keep(one, course))
            for one, course in zip(told, courses, strict=True)
        ]

    def _tell(self, shown: Shown) -> Told:
        course = self._courses[shown.course]
        directory, later = self._plan.directory, self.announced
        with LossExplorer(self._target, directory, course, later) as explorer:
            return LossFinder(explorer, course, tuple(self.explored)).tell(shown)

    def _keep(self, told: Told, course: Course) -> LossViolation:
        plan, later = self._plan, sorted(self.announced)
        cases = LossCases(plan.target_name, self._target.name, plan.findings, later)
        return cases.keep(told.violation, course, told.scene.state(course))

    def _in_doubt(self, violation: LossViolation) -> LossViolation:
        """Say of a violation that the description of the target may be wrong, where it may."""
        if violation.kind not in self._violated:
            return violation
        message = f"{violation.message}; also without any cut: is the description right?"
        return msgspec.structs.replace(violation, message=message)

    def figures(self, exploring_s: float) -> dict[str, Any]:
        """Return the figures of all models together, by the names that they have in the JSON."""
        explored = sum(self.explored.values())
        return {
            "explored": explored,
            "promised": sum(self._promised.values()),
            "pruned": self._pruned,
            "states_per_second": round(explored / exploring_s) if explored else 0,
        }

    def doubts(self) -> list[str]:
        """Return why the states may show nothing."""
        if not any(self.explored.values()):
            return ["no state was explored: the time was too short"]
        doubts = [
            f"no state of {name} was explored: the time was too short"
            for name, explored in self.explored.items()
            if not explored
        ]
        silent = [
            name for name, count in self.explored.items() if count and not self._promised[name]
        ]
        if silent:
            doubts.append(
                f"nothing was acknowledged before any of the cuts of {', '.join(silent)}: does the"
                " program print its acknowledgements, and flush its standard output after each?"
            )
        return doubts
