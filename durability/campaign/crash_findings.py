"""How coarse a tear shows each kind of violation, and what is kept of it."""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from durability.audit.violation import Violation
from durability.campaign.cycle import FROM_COARSE_TO_FINE, Found, Plan, Start, is_coarser
from durability.errors import CannotKeepError
from durability.report.finding import Finding, keep
from durability.targets.contract import Target, Tear
from durability.trace.kill_order import KillOrder
from durability.trace.trace import Trace

_RETRIES_MAX: Final = 8

Again = Callable[[KillOrder], tuple[list[Violation], Trace]]
"""Kills once more at an order; returns what that shows: nothing where it did not land."""


class _Shown:
    """The coarsest tear that has shown a kind of violation, and how often it was seen."""

    def __init__(self) -> None:
        self.tear: Tear | None = None
        self.tries = 0


class CrashFindings:
    """The violations that the turns of one process have shown, each kept at its coarsest tear."""

    def __init__(self, target: Target, plan: Plan) -> None:
        self._target = target
        self._plan = plan
        self._shown: dict[str, _Shown] = {}

    def settle(
        self,
        violations: list[Violation],
        order: KillOrder,
        start: Start,
        trace: Trace,
        later: frozenset[str],
        again: Again,
    ) -> tuple[list[Found], list[str]]:
        """Settle how coarse a tear shows each kind, and keep the coarsest that was met.

        A kind that only a finer tear has shown is tried again at coarser ones with the next kills
        that show it; `again` kills once more at an order. Returns also why findings could not be
        kept.
        """
        here = _tear_of(trace, order)
        found: list[Found] = []
        unkept: list[str] = []
        worth_trying = [
            violation for violation in violations if self._may_be_coarser(violation, here)
        ]
        attempts: list[tuple[Tear, list[Violation], Trace]] = []
        if worth_trying:
            for tear in FROM_COARSE_TO_FINE[: FROM_COARSE_TO_FINE.index(here)]:
                at = msgspec.structs.replace(order, tear=tear)
                attempts.append((tear, *again(at)))
        attempts.append((here, violations, trace))
        for tear, shown, shown_trace in attempts:
            at = msgspec.structs.replace(order, tear=tear)
            news, why = self.keep_news(shown, at, start, shown_trace, later)
            found += news
            unkept += why
        settled = {one.violation.kind for one in found}
        found += [Found(v, here, where=start.where) for v in violations if v.kind not in settled]
        return found, unkept

    def keep_news(
        self,
        violations: list[Violation],
        order: KillOrder,
        start: Start,
        trace: Trace,
        later: frozenset[str],
    ) -> tuple[list[Found], list[str]]:
        """Keep the violations of kinds that no tear as coarse as the order's has shown yet.

        Returns these, and why they could not be kept.
        """
        news = self.news(violations, order.tear)
        if not news:
            return [], []
        folder, unkept = None, []
        try:
            folder = self._keep(news, order, start, trace, later)
        except CannotKeepError as error:
            unkept.append(str(error))
        for violation in news:
            self._shown[violation.kind].tear = order.tear
        return [Found(violation, order.tear, folder, start.where) for violation in news], unkept

    def news(self, violations: Iterable[Violation], tear: Tear) -> list[Violation]:
        """Return those of kinds that no tear as coarse as this has shown yet."""
        return [violation for violation in violations if self._is_coarser(violation, tear)]

    def _may_be_coarser(self, violation: Violation, tear: Tear) -> bool:
        """Tell whether a kind may yet be shown by a coarser tear, and count the try."""
        shown = self._shown.setdefault(violation.kind, _Shown())
        shown.tries += 1
        return tear != "none" and shown.tear != "none" and shown.tries <= _RETRIES_MAX

    def _is_coarser(self, violation: Violation, tear: Tear) -> bool:
        """Tell whether no tear as coarse as this has shown the kind yet."""
        best = self._shown.setdefault(violation.kind, _Shown()).tear
        return best is None or is_coarser(tear, best)

    def _keep(
        self,
        violations: list[Violation],
        order: KillOrder,
        start: Start,
        trace: Trace,
        later: Iterable[str],
    ) -> str:
        finding = Finding(
            target=self._plan.target_name,
            at=str(order),
            tear=order.tear,
            seed=self._plan.seed,
            violations=violations,
            later=sorted(later),
            killed=start.killed,
            earlier=start.heard,
        )
        return keep(finding, trace, self._target.name, self._plan.findings)


def _tear_of(trace: Trace, order: KillOrder) -> Tear:
    """Return the tear that a kill really made: none, where it fell between two calls."""
    kill = trace.kill()
    return order.tear if kill is not None and kill.torn else "none"
