"""A second crash: the power is cut inside a recovery, of what a first crash has left.

target -> trace -> first crash -> trace of its recovery -> crash states -> recovery -> audit

The first crash is a power cut, which leaves a state of some model, all of it durable then; or a
kill, which leaves the page cache: what the run had not synced is there for recovery to see, and
goes with the power all the same. What had been acknowledged before the first crash must still be
there, and so must what the recovery had shown before the second.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from durability.campaign import tally
from durability.campaign.course import Course
from durability.campaign.crash_cycle import CrashCycle
from durability.campaign.cycle import Plan
from durability.campaign.first_crashes import First, FirstCrashes, likely_kills
from durability.campaign.known_recoveries import KnownRecoveries
from durability.campaign.loss_explorer import Explored, LossExplorer, as_bytes
from durability.campaign.loss_tally import LossTally
from durability.campaign.workers import Work, WorkerError, Workers
from durability.crash.loss_states import Draw, LossStates
from durability.crash.models import Model
from durability.errors import DurabilityError
from durability.power_loss import LossScope, confirming
from durability.recording import traced
from durability.report.result import Result
from durability.targets.contract import Target

CRASHES = 100
"""How many first crashes are followed under each model where nobody says."""

Progress = Callable[[Explored], None]


class Crashes(msgspec.Struct, frozen=True):
    """How the first run ends, and how many of these crashes are followed under each model.

    `count` is None for all there are. `explicit` says that the user asked for so many, so that less
    for want of time shows nothing.
    """

    first: First
    count: int | None = CRASHES
    explicit: bool = False


def second_crash(
    target: Target, plan: Plan, scope: LossScope, crashes: Crashes, progress: Progress
) -> Result:
    """Cut the power in recoveries; recover once more and judge.

    The states of a model are shared out among the first crashes; of all these, each has as many.
    Raises as `power_loss` does.
    """
    began = time.monotonic()
    with TemporaryDirectory(prefix="durability-", dir=plan.directory) as base:
        plan = msgspec.structs.replace(plan, directory=base)
        exploration = _Exploration(target, plan, scope, crashes, began)
        outcome = exploration.tally
        try:
            exploration.explore(progress)
        except KeyboardInterrupt:
            outcome.reasons.append("interrupted")
        except WorkerError as error:
            outcome.reasons.append(str(error))
        violations = outcome.violations(confirming(target, plan, scope, outcome))
    return Result(
        command="powerloss",
        seed=plan.seed,
        elapsed_s=time.monotonic() - began,
        figures=exploration.figures(),
        violations=[*violations],
        reasons=tally.most_important([*outcome.reasons, *outcome.doubts()]),
        notes=outcome.notes,
    )


class _Crash(msgspec.Struct, frozen=True, array_like=True):
    """A first crash: the place of a kill in their order, or a state of what a cut leaves."""

    model: str
    number: int
    moment: int = 0
    kept: bytes = b""


class _Followed(msgspec.Struct, frozen=True, array_like=True):
    """What became of the recovery's states; `course` is given where something was broken.

    `digests` are those of the contents.
    """

    model: str
    explored: Explored
    course: Course | None
    digests: list[bytes]


class _Exploration:
    """One trace, the first crashes of it, and what has become of their recoveries so far."""

    def __init__(
        self, target: Target, plan: Plan, scope: LossScope, crashes: Crashes, began: float
    ) -> None:
        self._target = target
        self._plan = plan
        self._scope = scope
        self._crashes = crashes
        self._began = began
        self._trace, self._measured = traced(target, plan, with_sources=True)
        self._kills = likely_kills(self._trace, target.tear, random.Random(plan.seed))
        self._each = None if scope.exhaustive else max(1, scope.states // (crashes.count or 1))
        self._followed = dict.fromkeys(scope.models, 0)
        self._contents: dict[str, set[bytes]] = {name: set() for name in scope.models}
        self._exploring_s = 0.0
        self.tally = LossTally(target, plan, self._measured, scope.models)

    def explore(self, progress: Progress) -> None:
        """Follow the first crashes, one model after the other."""
        began = time.monotonic()
        with Workers(self._scope.jobs, self._following) as workers:
            for number, name in enumerate(self._scope.models, start=1):
                until = self._until(number / len(self._scope.models))
                for outcome in workers.map(self._first(name), until):
                    item = msgspec.msgpack.decode(outcome, type=_Followed)
                    self.tally.take(name, item.course, item.explored)
                    self._followed[name] += 1
                    self._contents[name].update(item.digests)
                    progress(item.explored)
                    self._exploring_s = time.monotonic() - began
                if until is not None and time.monotonic() >= until:
                    self._note_time(name)
                elif self._scope.exhaustive and self._followed[name] == self._crashes.count:
                    self.tally.notes.append(
                        f"exhaustive for {self._followed[name]} first crashes under {name}, as was"
                        " asked for: there may be more"
                    )

    def _until(self, share: float) -> float | None:
        budget_s = self._scope.budget_s
        return None if budget_s is None else self._began + budget_s * share

    def _note_time(self, name: str) -> None:
        if self._scope.exhaustive or self._scope.explicit or self._crashes.explicit:
            of = "" if self._crashes.count is None else f" of {self._crashes.count}"
            followed = f"{self._followed[name]}{of}"
            self.tally.reasons.append(f"time was up after {followed} first crashes under {name}")

    def _first(self, name: str) -> Iterator[bytes]:
        for crash in self._of_kind(name):
            if self._scope.at_first and self.tally.broken[name]:
                return
            yield msgspec.msgpack.encode(crash)

    def _of_kind(self, name: str) -> Iterator[_Crash]:
        count = self._crashes.count
        if self._crashes.first == "kill":
            yield from (_Crash(name, number) for number in range(len(self._kills[:count])))
            return
        states = LossStates(
            Model.named(name),
            self._trace,
            seed=self._plan.seed,
            limit=count,
            exhaustive=count is None,
        )
        for number, draw in enumerate(states):
            yield _Crash(name, number, draw.moment, as_bytes(draw.kept))

    @contextmanager
    def _following(self, control: int) -> Iterator[Work]:
        known = KnownRecoveries() if self._scope.pruning else None
        with CrashCycle(self._target, self._plan, control) as cycle:
            first = FirstCrashes(self._trace, cycle)

            def work(data: bytes) -> bytes:
                crash = msgspec.msgpack.decode(data, type=_Crash)
                return msgspec.msgpack.encode(self._follow(first, crash, known))

            yield work

    def _follow(
        self, first: FirstCrashes, crash: _Crash, known: KnownRecoveries | None
    ) -> _Followed:
        """Recover what a first crash left, and judge what cuts of that may leave.

        What goes wrong with the harness or the machine is this crash's alone.
        """
        model = Model.named(crash.model)
        try:
            if self._crashes.first == "kill":
                course = first.after_kill(self._kills[crash.number])
            else:
                kept = int.from_bytes(crash.kept, "big")
                course = first.after_cut(model, Draw(crash.moment, kept))
        except (DurabilityError, OSError) as error:
            return _Followed(model.name, Explored(0, 0, 0, [], [str(error)], []), None, [])
        states = LossStates(
            model,
            course.trace,
            seed=self._plan.seed + crash.number,
            limit=self._each,
            exhaustive=self._scope.exhaustive,
            since=course.since,
        )
        later = self._measured.announced
        with LossExplorer(self._target, self._plan.directory, course, later, known) as explorer:
            explored = explorer.explore(model, list(states))
        shown = course if explored.broken else None
        return _Followed(model.name, explored, shown, sorted(states.digests))

    def figures(self) -> dict[str, Any]:
        """Return the figures by the names that they have in the JSON."""
        lines = self._trace.lines()
        speech = self._target.speech
        return {
            "target": self._target.name,
            "operations": len(self._trace.records),
            "acks": sum(speech.acknowledged.search(line) is not None for line in lines),
            "first_crash": self._crashes.first,
            "models": {name: self._figures_of(name) for name in self._scope.models},
            **self.tally.figures(self._exploring_s),
            "untraceable": self._trace.untraceable(),
        }

    def _figures_of(self, name: str) -> dict[str, Any]:
        """Return those of a model; of the contents that there are only those met are known."""
        distinct = len(self._contents[name])
        return {
            "legal": distinct,
            "legal_is_lower_bound": True,
            "first_crashes": self._followed[name],
            "explored": self.tally.explored[name],
            "distinct": distinct,
            "violations": self.tally.broken[name],
        }
