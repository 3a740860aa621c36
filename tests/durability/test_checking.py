"""`check`: stores that are two functions, right and wrong in known ways."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import durability
from durability import check
from durability.checking import BrokenPromiseError, Checked
from durability.errors import InconclusiveError, UsageError
from durability.replay import replay
from durability.report.crash_state import LossViolation
from tests.stores import log_store

Store = Callable[[str, Callable[[Any], None]], None]


@pytest.fixture
def findings(tmp_path: Path) -> str:
    return str(tmp_path / "findings")


def kinds(checked: Checked) -> list[str]:
    return [violation.kind for violation in checked.violations]


def test_it_is_what_the_package_offers() -> None:
    assert durability.__all__ == ["check"]
    with pytest.raises(AttributeError, match="no attribute 'chekc'"):
        _ = durability.chekc


def test_a_good_store_holds(findings: str) -> None:
    checked = check(log_store.good, log_store.recover, kills=20, findings=findings)
    checked.raise_for_violations()
    assert checked.verdict == "held"
    assert not os.path.exists(findings)


def test_kills_alone_find_an_early_acknowledgement(findings: str) -> None:
    checked = check(log_store.early, log_store.recover, models=(), kills=30, findings=findings)
    assert kinds(checked) == ["audit"]
    with pytest.raises(BrokenPromiseError, match=r"acknowledged were \d, the last of them \d"):
        checked.raise_for_violations()


@pytest.mark.parametrize(
    ("store", "models", "expected"),
    [
        (log_store.unsynced, ["ext4-ordered"], ["audit"]),
        (log_store.unsynced, ["xfs"], ["audit"]),
        (log_store.unsynced, ["prefix"], []),
        (log_store.unsynced_names, ["ext4-ordered", "xfs", "btrfs"], []),
        (log_store.unsynced_names, ["posix-default"], ["audit"]),
    ],
)
def test_power_cuts_find_what_was_not_synced(
    store: Store, models: list[str], expected: list[str], findings: str
) -> None:
    checked = check(store, log_store.recover, models=models, kills=0, findings=findings)
    assert kinds(checked) == expected


def test_the_text_tells_what_was_lost_and_how_to_see_it_again(findings: str) -> None:
    checked = check(
        log_store.unsynced, log_store.recover, models=["ext4-ordered"], kills=0, findings=findings
    )
    with pytest.raises(BrokenPromiseError) as raised:
        checked.raise_for_violations()
    text = str(raised.value)
    assert "lost:      2 bytes of log at " in text
    assert "[] of [0]" in text
    (found,) = checked.violations
    assert isinstance(found, LossViolation)
    assert found.reproduce in text
    path = found.reproduce.removeprefix("durability replay ")
    assert [violation.kind for violation in replay([path]).violations] == ["audit"]
    assert [violation.kind for violation in replay([findings]).violations] == ["audit"]


@pytest.mark.parametrize(
    ("recover", "kind", "timeout_s"),
    [
        (log_store.hang, "recovery-hung", 1.0),
        (log_store.leave, "recovery-failed", 60.0),
        (log_store.die, "recovery-signalled", 60.0),
    ],
)
def test_a_recovery_that_does_not_return_is_a_violation_of_its_own_kind(
    recover: Callable[[str, list[Any]], None], kind: str, timeout_s: float, findings: str
) -> None:
    checked = check(
        log_store.good,
        recover,
        models=["xfs"],
        kills=0,
        states=8,
        timeout_s=timeout_s,
        findings=findings,
    )
    assert kinds(checked) == [kind]


def test_each_recovery_begins_with_what_the_crash_left(findings: str) -> None:
    check(log_store.good, log_store.consume, kills=10, findings=findings).raise_for_violations()


@pytest.mark.parametrize(
    ("store", "text"),
    [
        (log_store.silent, "anything was acknowledged before only 0 of"),
        (log_store.failing, "ValueError: no such item"),
        (lambda _directory, _ack: None, "changed nothing"),
    ],
)
def test_what_shows_nothing_is_no_success(store: Store, text: str, findings: str) -> None:
    checked = check(store, log_store.recover, kills=5, findings=findings)
    assert checked.verdict == "inconclusive"
    with pytest.raises(InconclusiveError, match=text):
        checked.raise_for_violations()


def test_too_little_time_for_what_was_asked_for_is_no_success(findings: str) -> None:
    checked = check(log_store.good, log_store.recover, kills=500, budget_s=0.01, findings=findings)
    assert any("time was up" in reason for reason in checked.reasons)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UsageError, match="no model 'ext5'"):
        check(log_store.good, log_store.recover, models=["ext5"])


@settings(max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.binary(max_size=20), min_size=1, max_size=4))
def test_hypothesis_draws_the_workload(values: list[bytes]) -> None:
    def workload(directory: str, ack: Callable[[Any], None]) -> None:
        with open(os.path.join(directory, "log"), "wb", buffering=0) as log:
            for value in values:
                log.write(value.hex().encode() + b"\n")
                os.fsync(log.fileno())
                ack(value)

    def recover(directory: str, acked: list[bytes]) -> None:
        path = os.path.join(directory, "log")
        content = Path(path).read_bytes() if os.path.exists(path) else b""
        found = [bytes.fromhex(line.decode()) for line in content.split(b"\n")[:-1]]
        assert found[: len(acked)] == acked

    check(workload, recover, models=["ext4-datajournal"], kills=3).raise_for_violations()


def test_functions_without_a_name_are_said_to_have_no_replay(findings: str) -> None:
    checked = check(
        partial(log_store.unsynced),
        log_store.recover,
        models=["xfs"],
        kills=0,
        findings=findings,
    )
    (found,) = checked.violations
    assert found.reproduce.startswith("run it again")
