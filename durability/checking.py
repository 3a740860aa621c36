"""Testing a store from Python: two functions, the crashes to put them through, one answer.

    from durability import check

    def test_store_survives_power_loss():
        check(workload, recover, models=["ext4-ordered", "xfs"], kills=200).raise_for_violations()

`targets.functions` says what the two functions are given and what they must do.
"""

import secrets
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Final, TypedDict, Unpack

import msgspec

from durability.audit.verdict import Verdict
from durability.audit.violation import Violation
from durability.campaign.cycle import Plan
from durability.campaign.places import ram_disk
from durability.campaign.tally import UNPROMISING
from durability.crash.models import DEFAULT_MODELS, Model
from durability.crash_loop import Limits, crash_loop
from durability.errors import DurabilityError, InconclusiveError
from durability.power_loss import LossScope, power_loss
from durability.report.crash_state import LossViolation
from durability.report.finding import FINDINGS
from durability.report.result import Result
from durability.targets import functions
from durability.targets.contract import Tear
from durability.targets.functions import Recover, Workload
from durability.trace.kill_order import PAGE_BYTES

KILLS: Final = 200
STATES: Final = 500
_KILLING_SHARE: Final = 0.5
"""The kills' part of the time, where there is to be time for power cuts too."""


class BrokenPromiseError(AssertionError):
    """A guarantee was broken; the text names each, what was lost, and how to see it again."""


class Checked:
    """What a check found: `verdict`, `violations`, and the `reasons` why it may show nothing."""

    def __init__(self, results: Sequence[Result]) -> None:
        self.results = list(results)

    @property
    def violations(self) -> list[Violation]:
        """All that was found, kills before power cuts."""
        return [violation for result in self.results for violation in result.violations]

    @property
    def reasons(self) -> list[str]:
        """Why a part of it shows nothing."""
        return list(dict.fromkeys(reason for result in self.results for reason in result.reasons))

    @property
    def verdict(self) -> Verdict:
        """A violation wins over an inconclusive part."""
        if self.violations:
            return "violation"
        return "inconclusive" if self.reasons or not self.results else "held"

    def raise_for_violations(self) -> None:
        """Raise unless it held.

        Raises BrokenPromiseError, an AssertionError, for a violation, and InconclusiveError where
        nothing was shown: no acknowledgement, no mechanism, no time.
        """
        __tracebackhide__ = True  # what pytest is to show is the test
        if self.violations:
            raise BrokenPromiseError("\n".join(_told(self.violations)))
        if self.verdict == "inconclusive":
            raise InconclusiveError("; ".join(self.reasons) or "nothing was asked for")


class Options(TypedDict, total=False):
    """How to check; each may be left out.

    Under each of `models`, by default those of ext4, XFS and btrfs, up to `states` of what a power
    cut may leave, `STATES` by default, on a disk that tears pages between sectors of `sector_bytes`
    where that is less than a page. `kills` real kills, `KILLS` by default, which cut a write
    where `tear` says. Where a number is given, to do less for want of time is inconclusive. The
    same `seed` draws the same crashes. None is begun after `budget_s`. `recover` has `timeout_s` on
    each state. An endless workload is followed for `measuring_s`. Violations are kept below
    `findings`.
    """

    models: Sequence[str]
    sector_bytes: int
    states: int
    kills: int
    tear: Tear
    seed: int | None
    budget_s: float | None
    timeout_s: float
    measuring_s: float
    findings: str


def check(workload: Workload, recover: Recover, **options: Unpack[Options]) -> Checked:
    """Run a workload, crash it, recover; see `Options`. Raises UsageError for a wrong model."""
    began = time.monotonic()
    sector_bytes = options.get("sector_bytes", PAGE_BYTES)
    models = tuple(
        Model.named(name).torn(sector_bytes).name for name in options.get("models", DEFAULT_MODELS)
    )
    seed = options.get("seed")
    seed = secrets.randbits(32) if seed is None else seed
    measuring_s = options.get("measuring_s", 5.0)
    budget_s = options.get("budget_s")
    plan = Plan(
        target_name=functions.name_of(workload, recover),
        seed=seed,
        mechanism="seccomp",
        tear=options.get("tear", "page"),
        directory=ram_disk(),
        findings=options.get("findings", FINDINGS),
        measuring_s=measuring_s,
        deadline_s=max(30.0, 2 * measuring_s),
    )
    target = functions.target(workload, recover, timeout_s=options.get("timeout_s", 10.0))
    results: list[Result] = []
    with warnings.catch_warnings():
        # What is forked here has one thread, whatever threads there are, as in pytest-xdist.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            if kills := options.get("kills", KILLS):
                limits = Limits(
                    kills=kills,
                    explicit="kills" in options,
                    jobs=1,
                    budget_s=None if budget_s is None else budget_s * _KILLING_SHARE,
                )
                results.append(crash_loop(target, plan, limits, lambda _: None))
            if models:
                left_s = None if budget_s is None else max(0.0, began + budget_s - time.monotonic())
                scope = LossScope(
                    models=models,
                    states=options.get("states", STATES),
                    explicit="states" in options,
                    at_first=True,
                    budget_s=left_s,
                )
                results.append(power_loss(target, plan, scope, lambda _: None))
        except DurabilityError as error:
            results.append(Result("check", seed=seed, reasons=[str(error)]))
            results[-1].elapsed_s = time.monotonic() - began
    if any(result.figures.get("promised") for result in results):
        # Power cuts came when there was something to lose; of a short run, kills seldom do.
        for result in results:
            result.reasons = [r for r in result.reasons if not r.startswith(UNPROMISING)]
    if not plan.target_name:
        for result in results:
            result.violations = [_unnamed(found, plan.findings) for found in result.violations]
    return Checked(results)


def _unnamed(violation: Violation, findings: str) -> Violation:
    """Return a violation of functions that are not at the top of a module: no replay finds them."""
    text = f"run it again; what the crash left is kept in {findings}"
    return msgspec.structs.replace(violation, reproduce=text)


def _told(violations: Sequence[Violation]) -> Iterator[str]:
    """Yield the lines that tell a person what was broken."""
    for violation in violations:
        yield f"{violation.kind}: {violation.message}"
        yield f"    guarantee: {violation.invariant}"
        if isinstance(violation, LossViolation):
            yield f"    model:     {violation.strongest_model}"
            for one in violation.lost:
                source = f" at {one.source}" if one.source else ""
                yield f"    lost:      {one.operation} ({one.call}{source})"
        if violation.reproduce:
            yield f"    reproduce: {violation.reproduce}"
