"""The first of two crashes: what it left, and the recovery in which the power is cut then.

Drawn by seed, likely ones first. A cut: as `LossStates` draws them. A kill: first those with most
to lose - directly before a sync, when all is written, and directly behind a change of names.
"""

import random
from typing import Literal

from durability.audit.promises import Heard
from durability.campaign.course import Course, joined
from durability.campaign.crash_cycle import CrashCycle, incomplete
from durability.campaign.cycle import Start
from durability.crash.content import Content
from durability.crash.kill_states import KillState, kill_states, trace_until
from durability.crash.loss_states import Draw, LossWalk
from durability.crash.models import Model
from durability.errors import InconclusiveError
from durability.targets.contract import Tear
from durability.trace.records import Sync, SyncAll, is_change
from durability.trace.trace import Trace

First = Literal["cut", "kill"]
"""How the first run ended."""


def likely_kills(trace: Trace, tear: Tear, chance: random.Random) -> list[KillState]:
    """Return the kill states of a trace in the order in which they are looked at."""
    found = kill_states(trace, tear)
    chance.shuffle(found)
    return sorted(found, key=lambda state: not _has_most_to_lose(trace, state))


def _has_most_to_lose(trace: Trace, state: KillState) -> bool:
    if state.torn:
        return False
    following = trace.records[state.records : state.records + 1]
    before = trace.records[max(0, state.records - 1) : state.records]
    return any(isinstance(one, Sync | SyncAll) for one in following) or any(map(is_change, before))


class FirstCrashes:
    """The courses of recoveries that begin on what a first crash of one traced run left."""

    def __init__(self, trace: Trace, cycle: CrashCycle) -> None:
        """Prepare; `cycle` is what runs the recoveries."""
        self._trace = trace
        self._run = Course(trace)
        self._cycle = cycle
        self._walks: dict[str, LossWalk] = {}

    def after_cut(self, model: Model, draw: Draw) -> Course:
        """Return the recovery of what a cut left. Raises InconclusiveError."""
        if model.name not in self._walks:
            self._walks[model.name] = LossWalk(model, self._trace)
        state = self._walks[model.name].at(draw.moment).state(draw.kept)
        heard = self._run.heard(state.acknowledged_bytes)
        trace = self._recovery(heard, state.content)
        where = "cut off in the recovery of what a cut had left"
        if state.cut:
            where += f" after {self._trace.records[state.cut - 1]}"
        return Course(trace, 0, heard, "recovery", where, left_by=model.name)

    def after_kill(self, state: KillState) -> Course:
        """Return the run up to a kill, and the recovery of what that left, as one course.

        Raises InconclusiveError.
        """
        killed = trace_until(self._trace, state)
        heard = Course(killed).heard(len(Course(killed).output()))
        recovery = self._recovery(heard, Content.of(killed.tree()))
        trace, since = joined(killed, recovery)
        where = "cut off in the recovery of what a kill had left"
        if state.records:
            where += f" after {self._trace.records[state.records - 1]}"
        return Course(trace, since, heard, "recovery", where)

    def _recovery(self, heard: list[Heard], content: Content) -> Trace:
        """Trace a recovery of what was left, to its end."""
        run = self._cycle.recovery(Start(heard=heard, content=content, killed="recovery"))
        if why := run.fault or incomplete(run):
            raise InconclusiveError(f"the recovery after a first crash: {why}")
        return run.trace
