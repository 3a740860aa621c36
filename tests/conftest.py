"""What all tests share: in CI nothing of ours may be skipped without having been expected.

And none is judged by how long it takes: the machine may be busy with others.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

EXPECTED_SKIPS = frozenset(
    {
        *(
            f"{name}@3.4.23 is not installed: durability targets --install etcd@3.4.23"
            for name in ("etcd", "etcd-bootstrap")
        ),
        "strace is not installed",
    }
)
"""Reasons for which CI may skip a test: these two programs are not to be had from PyPI."""

_unexpected: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and os.environ.get("CI"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else "no reason"
        if reason.removeprefix("Skipped: ") not in EXPECTED_SKIPS:
            _unexpected.append(f"{report.nodeid}: {reason}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for skip in _unexpected:
        terminalreporter.write_line(f"CI did not expect this to be skipped: {skip}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _unexpected and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
