"""A disk that fails, which is no crash: each fault, wherever a run meets it, and what that breaks.

target -> trace -> a fault -> recovery -> audit -> report

A call fails, for n = 1, 2, ... until none does: SQLite's loop (sqlite.org/testing.html, section
3.2). The built-in node takes a disk of ours in memory, which is fast; of any program the supervisor
answers the calls. A drive that lies and rot need one run, and show in what a restart makes of it.
"""

import random
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import TypeVar, get_args

import msgspec

from durability.campaign.cycle import Measured, Plan
from durability.campaign.workers import WorkerError
from durability.disk import drive
from durability.disk.calls import failing_calls
from durability.disk.damaged_states import Damaged, TracedRun, meet_damage
from durability.disk.faults import FAULTS, Mechanism
from durability.disk.in_memory import failures_in_memory
from durability.disk.outcome import Outcome, Progress
from durability.disk.rot import AtRest
from durability.disk.scope import DiskScope
from durability.errors import UsageError
from durability.recording import traced
from durability.report.result import Result
from durability.targets.contract import Target
from durability.trace.failure import Failure
from durability.trace.trace import Trace
from durability.trace.volatile import Volatile

Place = TypeVar("Place")


def disk_faults(
    target: Target, plan: Plan, scope: DiskScope, mechanism: Mechanism, progress: Progress
) -> Result:
    """Let the disk of a target fail in each of the ways asked for.

    Raises UsageError where a fault cannot be had by the mechanism, MechanismError where the target
    cannot be traced, VacuousError where a run of it changes nothing.
    """
    began = time.monotonic()
    in_memory = _in_memory(target, scope, mechanism)
    result = Result("disk", seed=plan.seed)
    outcomes = failures_in_memory(target, in_memory, scope)
    others = [name for name in scope.faults if name not in outcomes]
    operations = None
    if others:
        with TemporaryDirectory(prefix="durability-", dir=plan.directory) as base:
            plan = msgspec.structs.replace(plan, directory=base)
            trace, measured = traced(target, plan)
            faults = _Faults(target, plan, scope, trace, measured, progress)
            try:
                for number, name in enumerate(others, start=len(in_memory) + 1):
                    until = scope.share(number, len(scope.faults))
                    outcomes[name] = Outcome()
                    faults.meet(name, until, outcomes[name])
                    outcomes[name].time_was_up = until is not None and time.monotonic() >= until
            except KeyboardInterrupt:
                result.reasons.append(f"interrupted while the fault was {name}")
            except WorkerError as error:
                result.reasons.append(str(error))
        operations = len(trace.records)
        result.reasons += measured.faults
        result.notes += measured.notes
    begun = [name for name in scope.faults if name in outcomes]
    for name in begun:
        _add(result, target, plan, scope, name, outcomes[name])
    result.figures = {
        "target": target.name,
        **({} if operations is None else {"operations": operations}),
        "faults": {name: outcomes[name].figures() for name in begun},
    }
    result.elapsed_s = time.monotonic() - began
    return result


def _in_memory(target: Target, scope: DiskScope, mechanism: Mechanism) -> list[Failure]:
    """Return the faults that a disk of ours is to have."""
    takes_a_disk = target.work_in_memory is not None and target.recover_in_memory is not None
    able = [name for name in get_args(Failure) if name in scope.faults and FAULTS[name].in_memory]
    picks = scope.calls is not None or scope.at is not None
    if mechanism == "memory":
        if not takes_a_disk:
            raise UsageError(
                f"{target.name} cannot be run on a disk of ours: no --mechanism memory"
            )
        if lacking := [name for name in scope.faults if name not in able]:
            raise UsageError(f"a disk of ours in memory has no {lacking[0]}: give --fault")
        if picks:
            raise UsageError(
                "a disk of ours in memory fails at each operation: no --at and no --faults"
            )
        return able
    return able if takes_a_disk and mechanism == "auto" and not picks else []


class _Faults:
    """The faults that one traced run is put through."""

    def __init__(
        self,
        target: Target,
        plan: Plan,
        scope: DiskScope,
        trace: Trace,
        measured: Measured,
        progress: Progress,
    ) -> None:
        self._target = target
        self._plan = plan
        self._scope = scope
        self._trace = trace
        self._later = measured.announced
        self._progress = progress

    def meet(self, name: str, until: float | None, outcome: Outcome) -> None:
        """Add what a fault comes to, to an outcome; nothing is begun after `until`."""
        scope = msgspec.structs.replace(self._scope, until=until)
        for failure in get_args(Failure):
            if failure == name:
                failing_calls(
                    self._target, self._plan, scope, failure, self._later, outcome, self._progress
                )
                return
        trace, states, outcome.possible = self._damaged(name)
        # What is at rest is what a whole run left: nothing of it was to be announced later.
        run = (
            TracedRun(trace, frozenset(), name, "rot")
            if FAULTS[name].family == "rot"
            else TracedRun(trace, self._later, name, "lying")
        )
        meet_damage(self._target, self._plan, scope, run, states, outcome, self._progress)

    def _damaged(self, name: str) -> tuple[Trace, Iterator[Damaged], int]:
        """Return the run, the states that a fault makes of what it left, and how many there are."""
        if FAULTS[name].family == "lying":
            all_windows = list(drive.windows(self._trace))
            states = (
                Damaged(str(window), content, window.end)
                for window, content in drive.states(self._trace, self._some(all_windows))
            )
            return self._trace, states, len(all_windows)
        at_rest = AtRest(self._trace, Volatile(self._target.volatile), self._plan.seed)
        damages = at_rest.damages(name)
        end = len(at_rest.trace.records)
        rotten = (
            Damaged(str(damage), damage.of(at_rest.content), end) for damage in self._some(damages)
        )
        return at_rest.trace, rotten, len(damages)

    def _some(self, places: list[Place]) -> list[Place]:
        """Return as many of the places as are asked for, drawn."""
        calls = self._scope.calls
        if calls is None or calls >= len(places):
            return places
        return random.Random(self._plan.seed).sample(places, calls)


def _add(
    result: Result, target: Target, plan: Plan, scope: DiskScope, name: str, outcome: Outcome
) -> None:
    """Add what one fault has come to."""
    again = scope.command(plan.target_name, name, "--seed", str(plan.seed))
    result.violations += [
        msgspec.structs.replace(
            violation,
            subject=f"{target.name}: {name}",
            reproduce=violation.reproduce or again,
        )
        for violation in outcome.found.values()
    ]
    result.reasons += [f"{name}: {reason}" for reason in outcome.reasons()]
    if outcome.cut_off:
        result.notes.append(
            f"{name}: {outcome.cut_off} of {outcome.fired} runs were followed for"
            f" {plan.deadline_s:g} s, with threads that went on: longer with --measure SECONDS"
        )
    if scope.at is None and (shortfall := outcome.shortfall(scope.calls)):
        told = result.notes if scope.calls is None else result.reasons
        told.append(f"{name}: {shortfall}")
