"""S05: what is acknowledged survives a kill at any byte of what is being persisted (C7-C9, C20).

1,000 runs of the built-in node, each killed by SIGKILL at a drawn position of its write stream:
three in four at a byte, uniformly, the rest between two calls. After each, recovery must leave no
temporary file and a log that reaches what was committed, take back neither term nor vote, and show
every acknowledged entry, in order and none invented. Every guarantee of the crash loop is judged
besides.

Not tested here: loss of what was written but not synced, which takes a power cut.
"""

from collections.abc import Mapping
from typing import Final

from durability.campaign.cycle import Plan
from durability.crash_loop import Limits, crash_loop
from durability.scenarios.scenario import Conditions, Landing, Outcome
from durability.targets import catalogue
from durability.targets.contract import Target

KILLS: Final = 1000
_DEADLINE_S: Final = 30.0
_ORACLE: Final[Mapping[str, tuple[str, ...]]] = {
    "temporaries_left": ("temporary-left",),
    "commit_beyond_last_index": ("commit-beyond-log",),
    "terms_or_votes_taken_back": ("term-regressed", "vote-changed"),
    "acknowledged_entries_missing": ("lost",),
}
"""The lines of the oracle, each with the guarantees that stand for it."""


def run(conditions: Conditions) -> Outcome:
    """Kill the built-in node 1,000 times."""
    return kill(catalogue.find("reference"), conditions, KILLS)


def kill(target: Target, conditions: Conditions, kills: int) -> Outcome:
    """Kill a target so many times, and read the oracle's lines from what that shows."""
    plan = Plan(
        target_name=target.name,
        seed=conditions.seed,
        mechanism="seccomp",
        tear="byte",
        directory=conditions.directory,
        findings=conditions.findings,
        deadline_s=_DEADLINE_S,
    )
    limits = Limits(kills=kills, explicit=True, jobs=conditions.jobs, budget_s=conditions.budget_s)
    result = crash_loop(target, plan, limits, lambda _: None)
    figures = result.figures
    violating = figures["violating_kills"]
    oracle = {
        line: sum(violating.get(kind, 0) for kind in kinds) for line, kinds in _ORACLE.items()
    }
    landing = Landing(
        fault="SIGKILL at an exact byte of the write stream",
        ordered=kills,
        landed=figures["landed"],
        evidence=(
            "waitpid says signal 9, and the directory equals the trace up to the ordered position,"
            f" in every name and byte; {figures['torn']} writes were torn,"
            f" {figures['distinct_offsets']} positions distinct"
        ),
    )
    return Outcome(
        landing=[landing],
        figures={
            "kills": figures["kills"],
            "torn": figures["torn"],
            "distinct_states": figures["distinct_states"],
            "acknowledged": figures["acked"],
            **oracle,
        },
        violations=result.violations,
        reasons=result.reasons,
        notes=result.notes,
    )
