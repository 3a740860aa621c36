"""The fixture `durability`: a store put to the test in one line of pytest.

    def test_store_survives_power_loss(durability):
        durability(workload, recover, models=["ext4-ordered", "xfs"], kills=200)

It fails with the lost operations, the broken acknowledgement and the file that reproduces it.
`durability.check` returns what was found instead. `--durability-budget SECONDS` bounds each.
"""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from durability.checking import Checked
    from durability.targets.functions import Recover, Workload

_BUDGET = "--durability-budget"


class Durability:
    """`check` with the options of the command line."""

    def __init__(self, budget_s: float | None) -> None:
        self._budget_s = budget_s

    def __call__(self, workload: "Workload", recover: "Recover", **options: Any) -> None:
        """Check a store; fail the test unless it holds. `options` are those of `check`."""
        __tracebackhide__ = True
        self.check(workload, recover, **options).raise_for_violations()

    def check(self, workload: "Workload", recover: "Recover", **options: Any) -> "Checked":
        """Check a store and return what was found."""
        # pytest loads this module in every run of every project: it must cost nothing there.
        from durability.checking import check  # noqa: PLC0415 - as said

        return check(workload, recover, **{"budget_s": self._budget_s, **options})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("durability").addoption(
        _BUDGET,
        type=float,
        metavar="SECONDS",
        help="begin no new crash of a durability check after this time; by default all are done",
    )


@pytest.fixture
def durability(request: pytest.FixtureRequest) -> Durability:
    """Return what checks a store."""
    return Durability(request.config.getoption(_BUDGET))
