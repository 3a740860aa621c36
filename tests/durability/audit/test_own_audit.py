"""Whatever a target's own audit does but return is a violation, and none of it reaches us."""

import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest

from durability.audit.own_audit import judge_by_own_audit
from durability.audit.violation import Violation
from durability.targets.contract import Call, Speech, Target
from tests.durability.trace.alone import alone

Audit = Callable[[str, list[str]], None]

SHOWN = re.compile("(?P<id>.+)")


def judged(
    audit: Audit | None, timeout_s: float = 60.0, recovered: re.Pattern[str] | None = SHOWN
) -> list[Violation]:
    nothing: Any = None
    target = Target(
        name="audited",
        workload=lambda _: Call(lambda: None),
        recovery=lambda _: Call(lambda: None),
        speech=Speech(nothing, nothing, recovered),
        recovery_timeout_s=timeout_s,
        audit=audit,
    )
    return alone(lambda: judge_by_own_audit(target, "/data", ["a", "b"]))


def raising(error: BaseException) -> Audit:
    def audit(_directory: str, _acknowledged: list[str]) -> None:
        raise error

    return audit


def doing(action: Callable[[], object]) -> Audit:
    return lambda _directory, _acknowledged: (action(), None)[1]


def test_an_audit_that_returns_accepts() -> None:
    assert judged(doing(lambda: os.write(1, b"all well"))) == []
    assert judged(None) == []


def test_it_is_told_where_and_what() -> None:
    def audit(directory: str, acknowledged: list[str]) -> None:
        raise ValueError(directory, acknowledged)

    (found,) = judged(audit)
    assert found.message == "ValueError: ('/data', ['a', 'b'])"


@pytest.mark.parametrize(
    ("audit", "message"),
    [
        (raising(AssertionError("index\nand log")), "AssertionError: index\nand log"),
        (raising(SystemExit(0)), "SystemExit: 0"),
        (raising(pytest.fail.Exception("no")), "Failed: no"),
        (raising(KeyboardInterrupt()), "KeyboardInterrupt: "),
        (raising(ValueError("\udcff" * 9000)), "ValueError: " + "\\udcff" * 600),
        (doing(lambda: os._exit(0)), "it exited with 0 in place of returning"),
        (doing(lambda: os.kill(os.getpid(), signal.SIGUSR1)), "it died of SIGUSR1"),
    ],
)
def test_anything_else_is_a_violation(audit: Audit, message: str) -> None:
    (found,) = judged(audit)
    assert found.kind == "audit"
    assert found.message.startswith(message)


def test_an_audit_that_hangs_is_killed_in_its_time() -> None:
    (found,) = judged(doing(signal.pause), timeout_s=0.2)
    assert found.message == "it was still running after 0.2 s"


def test_what_it_changes_in_its_process_is_gone() -> None:
    assert judged(doing(sys.modules.clear)) == []
    assert "os" in sys.modules


@pytest.mark.parametrize(
    ("audit", "kind"),
    [
        (raising(AssertionError("no")), "audit"),
        (raising(SystemExit(0)), "recovery-failed"),
        (doing(lambda: os._exit(0)), "recovery-failed"),
        (doing(lambda: os.kill(os.getpid(), signal.SIGUSR1)), "recovery-signalled"),
    ],
)
def test_one_that_recovers_too_may_fail_as_a_recovery(audit: Audit, kind: str) -> None:
    (found,) = judged(audit, recovered=None)
    assert found.kind == kind


def test_an_assertion_without_a_message_is_quoted() -> None:
    def audit(_directory: str, acknowledged: list[str]) -> None:
        assert not acknowledged

    audit.__code__ = compile(  # not rewritten by pytest, which would give it a message
        "def audit(_, acknowledged):\n    assert not acknowledged\n", __file__, "exec"
    ).co_consts[0]
    (found,) = judged(audit)
    assert found.message.startswith("AssertionError: ")
    assert "test_own_audit.py:2" in found.message
