"""The crash loop: measure a target's write stream, kill it all over the stream, audit each time.

target -> trace -> crash -> recovery -> audit -> report
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from durability.campaign import tally
from durability.campaign.crash_cycle import CrashCycle
from durability.campaign.cycle import Cycle, Measured, Mechanism, Plan
from durability.campaign.workers import Start, Work, WorkerError, Workers, run_alone
from durability.errors import MechanismError
from durability.report.result import Result
from durability.targets.contract import Call, Target
from durability.trace.supervisor import Supervisor

Progress = Callable[[Cycle], None]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much to do: `kills` in `jobs` processes, in `budget_s` where that is not None.

    `explicit` says that the user asked for this number, so that fewer kills show nothing. Kills of
    further links of a chain, and those of recoveries, come on top of it.
    """

    kills: int
    explicit: bool
    jobs: int
    budget_s: float | None = None


def crash_loop(target: Target, plan: Plan, limits: Limits, progress: Progress) -> Result:
    """Run the campaign and return what it found.

    Raises MechanismError where the target cannot be started or traced, VacuousError where a run
    changes nothing.
    """
    began = time.monotonic()
    until = None if limits.budget_s is None else began + limits.budget_s
    cycles: list[Cycle] = []
    broken = ""
    # Whatever becomes of the workers, what they made lies in here.
    with TemporaryDirectory(prefix="durability-", dir=plan.directory) as base:
        plan = msgspec.structs.replace(plan, directory=base)
        measured = measure(target, plan)
        begun_killing = time.monotonic()
        try:
            with Workers(limits.jobs, _turning(target, plan, measured)) as workers:
                items = (msgspec.msgpack.encode(number) for number in range(limits.kills))
                for outcome in workers.map(items, until):
                    for cycle in msgspec.msgpack.decode(outcome, type=list[Cycle]):
                        cycles.append(cycle)
                        progress(cycle)
        except KeyboardInterrupt:
            broken = f"interrupted after {tally.kills_counted(len(cycles))}"
        except WorkerError as error:
            broken = str(error)
    now = time.monotonic()
    cycles.sort(key=lambda cycle: (cycle.number, cycle.link))
    return Result(
        command="crash",
        seed=plan.seed,
        elapsed_s=now - began,
        figures=_figures(target, plan, measured, cycles, now - begun_killing),
        violations=tally.violations(target, plan, cycles, measured.violated),
        reasons=_reasons(plan, limits, measured, cycles, broken),
        notes=measured.notes + sorted({note for cycle in cycles for note in cycle.notes}),
    )


def measure(target: Target, plan: Plan) -> Measured:
    """Run the target once without a kill, in a process of its own. Raises VacuousError."""

    def work(control: int) -> bytes:
        with CrashCycle(target, plan, control) as cycle:
            return msgspec.msgpack.encode(cycle.measure())

    return msgspec.msgpack.decode(run_alone(work), type=Measured)


def exact_or_timer() -> tuple[Mechanism, str]:
    """Return the best mechanism that works here, and why it is not the exact one, if it is not."""

    def work(control: int) -> bytes:
        with TemporaryDirectory(prefix="durability-") as directory:
            Supervisor(control).run(Call(lambda: None), directory)
        return b""

    try:
        run_alone(work)
    except MechanismError as error:
        return "timer", f"{error}; kills are timed, not exact"
    return "seccomp", ""


def _turning(target: Target, plan: Plan, measured: Measured) -> Start:
    """Return what a worker does: a turn of the loop for each number it is handed."""

    @contextmanager
    def turning(control: int) -> Iterator[Work]:
        with CrashCycle(target, plan, control) as cycle:
            yield lambda item: msgspec.msgpack.encode(
                cycle.turn(msgspec.msgpack.decode(item, type=int), measured)
            )

    return turning


def _figures(
    target: Target, plan: Plan, measured: Measured, cycles: list[Cycle], elapsed_s: float
) -> dict[str, Any]:
    figures = tally.figures(target, plan, cycles, elapsed_s)
    figures["stream_bytes"] = measured.stream.length
    if plan.links > 1:
        figures["kills_by_link"] = list(Counter(cycle.link for cycle in cycles).values())
    if plan.in_recovery:
        figures["recoveries_killed"] = sum(cycle.recovery_killed for cycle in cycles)
    return figures


def _reasons(
    plan: Plan, limits: Limits, measured: Measured, cycles: list[Cycle], broken: str
) -> list[str]:
    """Return why the campaign may show nothing; `broken` says why it stopped, if it did."""
    turns = sum(cycle.link == 0 for cycle in cycles)
    own = []
    if broken:
        own.append(broken)
    elif limits.explicit and turns < limits.kills:
        own.append(f"time was up after {turns} of {limits.kills} kills")
    elif not cycles and not measured.faults:
        own.append("no kill was tried: the time was too short")
    if cycles and plan.links > 1 and not any(cycle.link for cycle in cycles):
        own.append("no run was killed on what an earlier kill had left")
    if cycles and plan.in_recovery and not any(cycle.recovery_killed for cycle in cycles):
        own.append("no recovery was killed: does it change anything in the directory?")
    return tally.most_important([*measured.faults, *tally.reasons(cycles, own)])
