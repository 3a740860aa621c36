"""Every kill of one run, without killing it: each state that a kill may leave is recovered.

target -> trace -> crash states -> recovery -> audit -> report

One run is traced. Every place between two of its changes, and every place where `tear` may cut one
of its writes, is a state; all are recovered and judged. Some are then made by real kills, each of a
run of its own: what those leave must be the same, byte for byte, and must be judged alike.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from durability.audit.violation import Violation
from durability.campaign import tally
from durability.campaign.crash_cycle import CrashCycle
from durability.campaign.cycle import Cycle, Plan
from durability.campaign.kill_explorer import Explorer
from durability.campaign.workers import Work, WorkerError, Workers
from durability.crash.kill_states import kill_states
from durability.recording import traced
from durability.report.result import Result
from durability.targets.contract import Target, Tear

_BATCH_STATES_MAX: Final = 512
_BATCH_PROGRAM_STATES_MAX: Final = 16
"""Where each state takes a process, a batch saves nothing, and keeps others waiting."""
_BATCH_BYTES_MAX: Final = 1 << 26
"""What a batch's contents may take if each has as many bytes as the last state."""
_CHECKED_SHARE: Final = 0.01

Progress = Callable[[Cycle], None]


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """How much to do, in `jobs` processes, in `budget_s` where that is not None.

    `checked` states are made by real kills too; None for one in a hundred, one at least.
    """

    jobs: int
    budget_s: float | None = None
    checked: int | None = None


def explore(target: Target, plan: Plan, scope: Scope, progress: Progress) -> Result:
    """Recover and judge every kill state of one run, and make some of them by real kills.

    Raises MechanismError where the target cannot be started or traced, VacuousError where a run
    changes nothing, InconclusiveError where a run changes more than its trace shows.
    """
    began = time.monotonic()
    with TemporaryDirectory(prefix="durability-", dir=plan.directory) as base:
        plan = msgspec.structs.replace(plan, directory=base)
        exploration = _Exploration(target, plan, scope, began)
        try:
            exploration.explore(progress)
            exploration.check()
        except KeyboardInterrupt:
            exploration.reasons.append("interrupted")
        except WorkerError as error:
            exploration.reasons.append(str(error))
    return Result(
        command="crash",
        seed=plan.seed,
        elapsed_s=time.monotonic() - began,
        figures=exploration.figures(),
        violations=exploration.violations(),
        reasons=tally.most_important([*exploration.reasons, *exploration.doubts()]),
        notes=exploration.notes(),
    )


class _Exploration:
    """One trace, its states, and what has become of them so far.

    `cycles` are those of states, numbered as they are; `checks` those of real kills, by the number
    of the state that they were to leave.
    """

    def __init__(self, target: Target, plan: Plan, scope: Scope, began: float) -> None:
        self._target = target
        self._plan = plan
        self._scope = scope
        self._until = None if scope.budget_s is None else began + scope.budget_s
        self._trace, self._measured = traced(target, plan)
        self._states = kill_states(self._trace, plan.tear)
        self._exploring_s = 0.0
        self.cycles: list[Cycle] = []
        self.checks: list[Cycle] = []
        self.reasons = list(self._measured.faults)

    def explore(self, progress: Progress) -> None:
        """Recover and judge the states, in batches."""
        began = time.monotonic()
        count = len(self._states)
        size = self._batch_states()
        batches = (
            msgspec.msgpack.encode((start, min(start + size, count)))
            for start in range(0, count, size)
        )
        jobs = min(self._scope.jobs, -(-count // size))
        with Workers(jobs, self._exploring) as workers:
            for outcome in workers.map(batches, self._until):
                for cycle in msgspec.msgpack.decode(outcome, type=list[Cycle]):
                    self.cycles.append(cycle)
                    progress(cycle)
                self._exploring_s = time.monotonic() - began
        self.cycles.sort(key=lambda cycle: cycle.number)

    def check(self) -> None:
        """Make some of the states by real kills, and judge those."""
        numbers = self._sample()
        if not numbers:
            return
        orders = (msgspec.msgpack.encode(number) for number in numbers)
        with Workers(min(self._scope.jobs, len(numbers)), self._checking) as workers:
            for outcome in workers.map(orders, self._until):
                self.checks.append(msgspec.msgpack.decode(outcome, type=Cycle))
        if self._scope.checked is not None and len(self.checks) < len(numbers):
            done = f"{len(self.checks)} of {tally.kills_counted(len(numbers))}"
            self.reasons.append(f"time was up after {done} to check with")

    def _batch_states(self) -> int:
        most = _BATCH_PROGRAM_STATES_MAX
        if self._target.recovers_by_call:
            most = _BATCH_STATES_MAX
        content_bytes = sum(map(len, self._trace.tree().contents.values()))
        return max(1, min(most, _BATCH_BYTES_MAX // max(1, content_bytes)))

    def _sample(self) -> list[int]:
        """Draw the numbers of states to make, each at another position."""
        first_at: dict[tuple[int, int], int] = {}
        for number, state in enumerate(self._states[: len(self.cycles)]):
            first_at.setdefault((state.offset, state.calls), number)
        first_at.pop((0, 0), None)  # no change reaches it
        wanted = self._scope.checked
        if wanted is None:
            wanted = max(1, round(len(first_at) * _CHECKED_SHARE))
        chance = random.Random(self._plan.seed)
        return chance.sample(sorted(first_at.values()), min(wanted, len(first_at)))

    @contextmanager
    def _exploring(self, control: int) -> Iterator[Work]:
        del control
        later = self._measured.announced
        with Explorer(self._target, self._plan, self._trace, self._states, later) as explorer:

            def work(item: bytes) -> bytes:
                numbers = range(*msgspec.msgpack.decode(item, type=tuple[int, int]))
                return msgspec.msgpack.encode(explorer.explore(numbers))

            yield work

    @contextmanager
    def _checking(self, control: int) -> Iterator[Work]:
        later = self._measured.announced
        with CrashCycle(self._target, self._plan, control) as cycle:

            def work(item: bytes) -> bytes:
                number = msgspec.msgpack.decode(item, type=int)
                check = cycle.kill_at(self._states[number].order(), later)
                return msgspec.msgpack.encode(msgspec.structs.replace(check, number=number))

            yield work

    def violations(self) -> list[Violation]:
        """Return one violation of each kind."""
        cycles = self.cycles + self.checks
        return tally.violations(self._target, self._plan, cycles, self._measured.violated)

    def figures(self) -> dict[str, Any]:
        """Return the figures of a campaign of kills, whose kills are the states, and our own."""
        figures = tally.figures(self._target, self._plan, self.cycles, self._exploring_s)
        return {
            **figures,
            "stream_bytes": self._trace.stream_bytes(),
            "states": len(self._states),
            "states_per_second": figures["cycles_per_second"],
            "coverage": len(self.cycles) / len(self._states),
            "checked_by_kills": len(self.checks),
            "checked_equal": sum(map(self._is_equal, self.checks)),
        }

    def doubts(self) -> list[str]:
        """Return why the states may show nothing."""
        if not self.cycles:
            return ["no state was explored: the time was too short"]
        doubts = tally.reasons(self.cycles, drawn=False)
        missed = [check for check in self.checks if not check.landed]
        if missed:
            doubts.append(f"{tally.kills_counted(len(missed))} to check with: {missed[0].why}")
        doubts += sorted({fault for check in self.checks for fault in check.faults})
        otherwise = [check for check in self.checks if self._is_judged_otherwise(check)]
        if otherwise:
            doubts.append(
                f"{tally.kills_counted(len(otherwise))} left what the trace says, and it was judged"
                f" otherwise: state {otherwise[0].number}"
            )
        return doubts

    def notes(self) -> list[str]:
        """Return what must be known to understand the figures."""
        notes = self._measured.notes + sorted(
            {note for cycle in self.cycles + self.checks for note in cycle.notes}
        )
        landed = sum(check.landed for check in self.checks)
        other = landed - sum(map(self._is_equal, self.checks))
        if other:
            notes.append(
                f"{other} of {tally.kills_counted(landed)} left something else than the trace has"
                " there: the program does not write the same in every run"
            )
        return notes

    def _is_equal(self, check: Cycle) -> bool:
        return check.digest == self.cycles[check.number].digest

    def _is_judged_otherwise(self, check: Cycle) -> bool:
        state = self.cycles[check.number]
        tear = self._states[check.number].tear
        return self._is_equal(check) and not _are_alike(check, state, tear)


def _are_alike(check: Cycle, state: Cycle, tear: Tear) -> bool:
    """Tell whether a kill was judged as its state is, whose tear is given.

    Where the kill was repeated, a coarser tear may have shown more.
    """
    kinds = {found.violation.kind for found in state.found}
    shown = {found.violation.kind for found in check.found}
    here = {found.violation.kind for found in check.found if found.tear == tear}
    counts = (check.acknowledged, check.lost) == (state.acknowledged, state.lost)
    return counts and here <= kinds <= shown
