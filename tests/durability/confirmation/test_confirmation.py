"""Findings shown on real file systems; only what a power cut breaks is confirmed.

Needs root, loop devices and the file systems' tools, as `tests/durability/crash/test_kernels.py`.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durability.campaign.cycle import Plan
from durability.confirmation import confirmation
from durability.crash.models import DEFAULT_MODELS
from durability.power_loss import LossScope, power_loss
from durability.report.crash_state import LossViolation
from durability.report.result import Result
from durability.targets import functions
from durability.trace.processes import descendants
from tests.durability.commands import ROOT, durability, environment, program
from tests.stores import log_store, replacing_store

KERNEL = f"kernel {'.'.join(os.uname().release.split('.')[:2])}"
VIOLATION = 1


@pytest.fixture
def mounts() -> None:
    for name in DEFAULT_MODELS:
        reason = confirmation.impossible([name])
        if reason is not None:
            pytest.skip(reason)


def confirmed(
    workload: Callable[..., object],
    recover: Callable[..., object],
    tmp_path: Path,
    *models: str,
    states: int = 100,
) -> Result:
    plan = Plan(
        target_name="",
        seed=1,
        mechanism="seccomp",
        tear="none",
        directory=str(tmp_path),
        findings=str(tmp_path / "findings"),
    )
    scope = LossScope(models=models or DEFAULT_MODELS, states=states, confirm=True)
    return power_loss(functions.target(workload, recover), plan, scope, lambda _: None)


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("workload", "recover"),
    [
        (log_store.unsynced, log_store.recover),
        (replacing_store.unsynced_content, replacing_store.recover),
        (replacing_store.unsynced_name, replacing_store.recover),
    ],
)
def test_what_is_known_to_be_lost_is_lost_on_all_three(
    workload: Callable[..., object], recover: Callable[..., object], tmp_path: Path
) -> None:
    result = confirmed(workload, recover, tmp_path)
    (found,) = result.violations
    assert isinstance(found, LossViolation)
    assert found.confirmed is not None, result.notes
    assert {"ext4", "xfs", "btrfs"} <= set(found.confirmed.split(", ")), result.notes
    assert found.confirmed.endswith(KERNEL)
    assert f"confirmed: {found.confirmed}" in found.message


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize("model", DEFAULT_MODELS)
def test_a_store_that_syncs_has_nothing_to_confirm(model: str, tmp_path: Path) -> None:
    result = confirmed(replacing_store.good, replacing_store.recover, tmp_path, model)
    assert (result.verdict, result.notes) == ("held", [])


@pytest.mark.usefixtures("mounts")
def test_what_only_posix_permits_no_file_system_shows(tmp_path: Path) -> None:
    result = confirmed(
        log_store.unsynced_names, log_store.recover, tmp_path, "xfs", "posix-default"
    )
    (found,) = result.violations
    assert isinstance(found, LossViolation)
    assert found.confirmed is None
    assert result.notes == [
        "audit cannot be confirmed: no file system shows it, only posix-default does"
    ]


@pytest.mark.usefixtures("mounts")
def test_what_a_kill_shows_needs_no_file_system(tmp_path: Path) -> None:
    result = confirmed(log_store.early, log_store.recover, tmp_path, "xfs")
    (found,) = result.violations
    assert isinstance(found, LossViolation)
    assert (found.strongest_model, found.confirmed) == ("prefix", None)
    assert result.notes == ["audit needs no power cut to be confirmed: a kill shows it"]


@pytest.mark.usefixtures("mounts")
def test_what_breaks_on_the_file_system_without_a_cut_is_not_confirmed(tmp_path: Path) -> None:
    """A recovery that does not work there at all: the known-bad control of the confirmation."""

    def recover(directory: str, acked: list[Any]) -> None:
        assert "file-system" not in directory, "it works on a RAM disk only"
        log_store.recover(directory, acked)

    result = confirmed(log_store.unsynced, recover, tmp_path, "xfs")
    (found,) = result.violations
    assert isinstance(found, LossViolation)
    assert found.confirmed is None
    assert f"audit is not confirmed on xfs, {KERNEL}: it is shown there without any cut too" in (
        result.notes
    )


def confirmed_by(breaks: Callable[[int], bool], tmp_path: Path) -> list[str]:
    """Return the notes on a finding where some recoveries on the file system break, by number.

    What they find there makes no difference.
    """
    recoveries = tmp_path / "recoveries"

    def recover(directory: str, acked: list[Any]) -> None:
        if "file-system" not in directory:
            log_store.recover(directory, acked)
            return
        with recoveries.open("ab") as count:  # each recovery is a process of its own
            count.write(b"x")
            assert not breaks(count.tell())

    result = confirmed(log_store.unsynced, recover, tmp_path, "ext4-datajournal")
    (found,) = result.violations
    assert isinstance(found, LossViolation)
    assert found.confirmed is None
    return result.notes


@pytest.mark.usefixtures("mounts")
def test_a_recovery_that_breaks_now_and_then_confirms_nothing(tmp_path: Path) -> None:
    """Once in 20 times, as one near its deadline."""
    notes = confirmed_by(lambda number: number % 20 == 0, tmp_path)
    assert (
        f"audit is not confirmed on ext4 data=journal, {KERNEL}: of 20 cuts 19 left what was"
        " promised, 1 left what breaks audit; recovered again, that does not show it each time"
    ) in notes


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize("cuts", [1, confirmation.REPEATS + 3])
def test_what_many_cuts_show_gets_as_many_chances_without_one(cuts: int, tmp_path: Path) -> None:
    """All recoveries of what one cut left break, and the very last without a cut."""
    repeated = cuts + confirmation.REPEATS
    last = repeated + max(cuts, confirmation.REPEATS)
    notes = confirmed_by(lambda number: cuts <= number <= repeated or number == last, tmp_path)
    assert (
        f"audit is not confirmed on ext4 data=journal, {KERNEL}: it is shown there without any cut"
        " too"
    ) in notes


@pytest.mark.usefixtures("mounts")
def test_each_recovery_begins_with_what_the_cut_left(tmp_path: Path) -> None:
    """One that breaks, and leaves behind what the next would accept."""

    def recover(directory: str, acked: list[Any]) -> None:
        try:
            log_store.recover(directory, acked)
        except AssertionError:
            log = Path(directory, "log")
            log.write_bytes(b"".join(b"%d\n" % number for number in acked))
            raise

    result = confirmed(log_store.unsynced, recover, tmp_path, "ext4-datajournal")
    (found,) = result.violations
    assert isinstance(found, LossViolation)
    assert found.confirmed == f"ext4 data=journal, {KERNEL}", result.notes


@pytest.mark.usefixtures("mounts")
def test_what_no_cut_shows_is_said_with_what_they_left(tmp_path: Path) -> None:
    """A recovery that is wrong in the exploration only: what is on the file system is accepted."""

    def recover(directory: str, acked: list[Any]) -> None:
        if "file-system" not in directory:
            log_store.recover(directory, acked)

    result = confirmed(log_store.unsynced, recover, tmp_path, "xfs")
    (found,) = result.violations
    assert isinstance(found, LossViolation)
    assert found.confirmed is None
    cuts = confirmation.CUTS_MAX
    assert (
        f"audit is not confirmed on xfs, {KERNEL}: of {cuts} cuts {cuts} left what was promised;"
        " none of them showed it"
    ) in result.notes


def test_where_nothing_can_be_mounted_that_is_said_and_findings_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirmation, "unavailable", lambda _: "loop mounts need root")
    result = confirmed(log_store.unsynced, log_store.recover, tmp_path, "xfs")
    assert result.verdict == "violation"
    assert result.reasons == ["nothing can be confirmed here: loop mounts need root"]
    assert (tmp_path / "findings").exists()
    result = confirmed(log_store.good, log_store.recover, tmp_path, "xfs")
    assert result.verdict == "inconclusive"


@pytest.mark.usefixtures("mounts")
def test_one_file_system_that_is_missing_is_said_and_the_others_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "mkfs.btrfs is missing: apt-get install btrfs-progs"
    there = confirmation.unavailable
    monkeypatch.setattr(
        confirmation, "unavailable", lambda kind: why if kind == "btrfs" else there(kind)
    )
    result = confirmed(log_store.unsynced, log_store.recover, tmp_path)
    (found,) = result.violations
    assert isinstance(found, LossViolation)
    assert found.confirmed is not None, result.notes
    assert {"ext4", "xfs"} <= set(found.confirmed.split(", "))
    assert "btrfs" not in found.confirmed
    assert result.reasons == []
    assert f"audit is not confirmed on btrfs, {KERNEL}: {why}" in result.notes
    result = confirmed(log_store.unsynced, log_store.recover, tmp_path, "btrfs")
    assert result.reasons == [f"nothing can be confirmed here: {why}"]


def test_each_reason_why_no_file_system_can_be_made_is_given_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reasons = {"ext4": "no ext4", "xfs": "no other", "btrfs": "no other"}
    monkeypatch.setattr(confirmation, "unavailable", reasons.get)
    assert confirmation.impossible(DEFAULT_MODELS) == "no ext4; no other"
    assert confirmation.impossible(["posix-default"]) is None


@pytest.mark.usefixtures("mounts")
def test_the_command_says_where(tmp_path: Path) -> None:
    store = f"{ROOT}/tests/stores/log_store.py:unsynced:recover"
    done = durability("powerloss", store, "--confirm", "--model", "ext4-ordered", cwd=str(tmp_path))
    assert done.status == VIOLATION, done.stdout
    (found,) = done.document["violations"]
    assert "ext4" in found["confirmed"].split(", ")


@pytest.mark.usefixtures("mounts")
def test_a_cut_behind_a_kill_is_shown_too(tmp_path: Path) -> None:
    counts = ("--model", "ext4-ordered", "--crashes", "6", "--states", "180", "--seed", "1")
    options = ("--after-kill", "--confirm", *counts)
    done = durability("powerloss", program("trusts_cache"), *options, cwd=str(tmp_path))
    assert done.status == VIOLATION, done.stdout
    (found,) = done.document["violations"]
    assert "in the recovery of what a kill had left" in found["message"]
    assert "ext4" in found["confirmed"].split(", ")


@pytest.mark.usefixtures("mounts")
def test_nothing_stays_mounted_where_the_command_is_killed(tmp_path: Path) -> None:
    store = f"{ROOT}/tests/stores/log_store.py:unsynced:recover"
    command = [sys.executable, "-m", "durability", "powerloss", store, "--confirm"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL
    ) as running:
        while (mounting := _mounting(running.pid)) is None:
            assert running.poll() is None
        end, places = mounting
        running.send_signal(signal.SIGKILL)  # the command alone, not what it has forked
    assert select.select([end], [], [], 60)[0] == [end], "a worker goes on by itself"
    os.close(end)
    deadline = time.monotonic() + 60
    while any(_mounted(int(name)) & places for name in os.listdir("/proc") if name.isdigit()):
        assert time.monotonic() < deadline, f"{places} is mounted still"


def _mounting(command: int) -> tuple[int, set[str]] | None:
    """Return a descriptor of a process of the command that has something mounted, and where."""
    for process in descendants(command):
        try:
            end = os.pidfd_open(process)
        except ProcessLookupError:
            continue  # it has ended meanwhile
        if places := _mounted(process):
            return end, places
        os.close(end)
    return None


def _mounted(process: int) -> set[str]:
    """Return where a process sees loop devices mounted by a confirmation."""
    try:
        lines = Path(f"/proc/{process}/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()  # it has ended meanwhile
    places = {line.split()[4] for line in lines if " /dev/loop" in line}
    return {place for place in places if "/file-system/" in place}
