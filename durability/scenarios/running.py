"""Running scenarios by their numbers, and putting their outcomes into one result."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from durability.errors import InconclusiveError, UsageError
from durability.report.result import Result
from durability.scenarios import s05_crash_durability, s16_latency_gate
from durability.scenarios.scenario import Conditions, Outcome

SCENARIOS: Final[Mapping[str, Callable[[Conditions], Outcome]]] = {
    "S05": s05_crash_durability.run,
    "S16": s16_latency_gate.run,
}


def run_scenarios(names: Iterable[str], conditions: Conditions) -> Result:
    """Run scenarios one after another; `all` stands for each there is.

    One that cannot be run here is inconclusive, and those after it are run all the same. Raises
    UsageError for a name that is not known.
    """
    began = time.monotonic()
    result = Result("scenario", conditions.seed)
    found = []
    for name in _named(names):
        begun = time.monotonic()
        try:
            outcome = SCENARIOS[name](conditions)
        except InconclusiveError as error:
            outcome = Outcome(landing=[], figures={}, reasons=[str(error)])
        found.append(
            {
                "id": name,
                "verdict": outcome.verdict,
                "landing": msgspec.to_builtins(outcome.landing),
                "figures": outcome.figures,
                "elapsed_s": round(time.monotonic() - begun, 3),
            }
        )
        result.violations += outcome.violations
        result.reasons += [f"{name}: {reason}" for reason in outcome.reasons]
        result.notes += [f"{name}: {note}" for note in outcome.notes]
    result.figures = {"scenarios": found}
    result.elapsed_s = time.monotonic() - began
    return result


def _named(names: Iterable[str]) -> list[str]:
    wanted = {name.upper() for name in names}
    if "ALL" in wanted:
        return list(SCENARIOS)
    unknown = sorted(wanted - SCENARIOS.keys())
    if unknown:
        known = ", ".join(SCENARIOS)
        raise UsageError(f"no scenario is called {', '.join(unknown)} (known: {known}, all)")
    return sorted(wanted)
