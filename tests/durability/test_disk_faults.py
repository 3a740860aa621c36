"""A disk that fails, lies or rots: the node holds, and each bad program shows by what it is bad."""

from pathlib import Path
from typing import Any

import pytest

from durability.campaign.cycle import Plan
from durability.disk.faults import FAULTS
from durability.disk.scope import DiskScope
from durability.disk_faults import disk_faults
from durability.replay import replay
from durability.report.crash_state import CrashStateCase, Damage, LossViolation, keep
from durability.targets import catalogue
from tests.durability.commands import ROOT, durability, program
from tests.durability.trace.alone import alone

HELD, VIOLATION, USAGE, INCONCLUSIVE = range(4)

Figures = dict[str, dict[str, int]]


def faults_of(cwd: Path, *arguments: str, status: int) -> tuple[Figures, dict[str, Any]]:
    """Run `durability disk`; return the figures by fault, and the JSON."""
    findings = str(cwd / "findings")
    done = durability("disk", *arguments, "--seed", "1", "--findings", findings, cwd=str(cwd))
    assert done.status == status, done.stdout + done.stderr
    return done.document["faults"], done.document


def test_the_node_holds_whatever_fails_in_memory(tmp_path: Path) -> None:
    faults, _ = faults_of(tmp_path, "reference", "--mechanism", "memory", status=HELD)
    assert set(faults) == {name for name, fault in FAULTS.items() if fault.in_memory}
    assert all(of["fired"] > 50 for of in faults.values())


def test_the_node_holds_whatever_fails_under_the_supervisor(tmp_path: Path) -> None:
    calls = ",".join(name for name, fault in FAULTS.items() if fault.family == "call")
    faults, _ = faults_of(
        tmp_path, "reference", "--mechanism", "seccomp", "--fault", calls, "--faults", "6",
        status=HELD,
    )  # fmt: skip
    assert all(of["fired"] == 6 < of["possible"] for of in faults.values())


def test_the_node_is_told_of_damage_or_refuses(tmp_path: Path) -> None:
    names = ("lying-disk", "flipped", "stale", "swapped", "misdirected")
    faults, _ = faults_of(
        tmp_path, "reference", "--fault", ",".join(names), "--faults", "40", "--bytes", "9000",
        status=HELD,
    )  # fmt: skip
    assert all(of["fired"] for of in faults.values())
    assert faults["lying-disk"]["lost"] > 0, "a disk that goes back as a whole tells nobody"
    assert not any("lost" in faults[name] for name in names[1:])
    assert all(faults[name]["refused"] for name in names)


@pytest.mark.parametrize("name", ["careful_log", "rename_store"])
def test_a_good_program_holds(tmp_path: Path, name: str) -> None:
    faults, _ = faults_of(tmp_path, program(name), "--faults", "4", status=HELD)
    assert all(of["fired"] == 4 for of in faults.values())


@pytest.mark.parametrize(
    ("name", "shows"),
    [
        ("ignores_sync_error", {"sync-eio-kept", "sync-eio-reverted"}),
        ("ignores_log_error", {"sync-eio-kept", "sync-eio-reverted"}),
        ("ignores_journal_error", {"sync-eio-kept", "sync-eio-reverted"}),
        ("ignores_name_error", {"sync-eio-kept", "sync-eio-reverted"}),
        ("retries_sync", {"sync-eio-kept", "sync-eio-reverted"}),
        ("ignores_short_write", {"write-enospc", "write-short", "disk-full"}),
        ("full_is_success", {"write-eio", "write-enospc", "disk-full"}),
        ("appends_behind", {"write-enospc"}),
        ("syncs_behind", {"sync-eio-kept", "sync-eio-reverted", "sync-stalled"}),
        ("gives_up_waiting", {"sync-stalled"}),
    ],
)
def test_a_bad_program_shows_by_what_it_is_bad(tmp_path: Path, name: str, shows: set[str]) -> None:
    faults, document = faults_of(tmp_path, program(name), "--faults", "5", status=VIOLATION)
    assert {fault for fault, of in faults.items() if of["violations"]} == shows
    # Recovery refuses half a record with another behind it: that is how the item is lost.
    assert {found["kind"] for found in document["violations"]} <= {"lost", "recovery-failed"}
    cases = sorted(str(path) for path in (tmp_path / "findings").iterdir())
    assert len(cases) == len(document["violations"])
    assert all(
        found["reproduce"].startswith("durability replay ") for found in document["violations"]
    )
    assert replay(cases).figures["failed"] == cases


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("careful_log", set()),
        ("no_checksum", {"damage-served"}),
        ("good_append", {"damage-hidden"}),  # it takes rot for a torn tail
    ],
)
def test_rot_is_refused_hidden_or_served(tmp_path: Path, name: str, kinds: set[str]) -> None:
    status = VIOLATION if kinds else HELD
    faults, document = faults_of(
        tmp_path, program(name), "--fault", "flipped,swapped", "--faults", "12", status=status
    )
    assert {found["kind"] for found in document["violations"]} == kinds
    if not kinds:
        assert all(of["refused"] == of["fired"] for of in faults.values())
        return
    cases = sorted(str(path) for path in (tmp_path / "findings").iterdir())
    assert len(cases) == len(document["violations"])
    assert replay(cases).figures["failed"] == cases


@pytest.mark.parametrize(("damage", "failed"), [("rot", 0), ("lying", 0), ("", 1)])
def test_a_kept_state_of_a_damaged_disk_may_be_refused(
    tmp_path: Path, damage: Damage, failed: int
) -> None:
    case = CrashStateCase(
        target=program("careful_log"),
        heard=["item 1", "ack 1"],
        later=[],
        violations=[LossViolation(kind="damage-hidden", invariant="", message="", model="flipped")],
        files={b"log": b"\1\0\0\0none1"},
        links={},
        directories=[],
        damage=damage,
    )
    figures = replay([keep(case, "careful-log", str(tmp_path))]).figures
    assert (figures["cases"], len(figures["failed"])) == (1, failed)


def test_one_call_alone(tmp_path: Path) -> None:
    arguments = (program("full_is_success"), "--fault", "write-eio", "--at", "3")
    faults, document = faults_of(tmp_path, *arguments, status=VIOLATION)
    assert faults["write-eio"]["fired"] == 1
    assert "write of log: write-eio, call 3" in document["violations"][0]["message"]


def test_what_nothing_meets_shows_nothing(tmp_path: Path) -> None:
    arguments = (program("careful_log"), "--fault", "write-eio", "--at", "9999")
    faults, document = faults_of(tmp_path, *arguments, status=INCONCLUSIVE)
    assert faults["write-eio"]["fired"] == 0
    assert document["reasons"] == ["write-eio: nothing of the run met it"]


def test_less_than_was_asked_for_is_inconclusive(tmp_path: Path) -> None:
    arguments = (program("careful_log"), "--fault", "write-eio", "--faults", "100")
    _, document = faults_of(tmp_path, *arguments, "--budget", "0.2", status=INCONCLUSIVE)
    assert any("time was up" in reason for reason in document["reasons"])


def test_a_budget_bounds_a_disk_in_memory(tmp_path: Path) -> None:
    arguments = ("reference", "--mechanism", "memory", "--fault", "write-eio,disk-full")
    faults, document = faults_of(tmp_path, *arguments, "--budget", "0.001", status=HELD)
    assert {name: of["fired"] for name, of in faults.items()} == {"write-eio": 1, "disk-full": 1}
    assert document["notes"] == [f"{name}: time was up after 1" for name in faults]


def test_an_interruption_leaves_what_was_met(tmp_path: Path) -> None:
    target = catalogue.find(program("full_is_success"))
    plan = Plan(
        target_name=program("full_is_success"), seed=1, mechanism="seccomp", tear="none",
        directory=str(tmp_path), findings=str(tmp_path / "findings"),
    )  # fmt: skip
    scope = DiskScope(faults=("write-eio", "disk-full"))
    advanced: list[bool] = []

    def interrupt(_landed: bool, broke: bool) -> None:
        advanced.append(broke)
        if len(advanced) == 4:
            raise KeyboardInterrupt

    result = alone(lambda: disk_faults(target, plan, scope, "auto", interrupt))
    assert result.reasons == ["interrupted while the fault was write-eio"]
    assert set(result.figures["faults"]) == {"write-eio"}
    assert result.figures["faults"]["write-eio"]["fired"] == 4
    assert result.violations


def test_the_list(tmp_path: Path) -> None:
    done = durability("disk", "--fault", "list", cwd=str(tmp_path))
    assert done.status == HELD
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(FAULTS)


@pytest.mark.parametrize(
    "arguments",
    [
        ("reference-follower", "--mechanism", "memory"),
        ("reference", "--fault", "sync-stalled", "--mechanism", "memory"),
        ("reference", "--fault", "no-such"),
        ("reference", "--at", "3"),
        ("reference", "--at", "3", "--fault", "write-eio,write-enospc"),
        ("reference", "--at", "3", "--fault", "flipped"),
        ("reference", "--at", "3", "--fault", "lying-disk"),
        ("reference", "--at", "3", "--fault", "write-eio", "--mechanism", "memory"),
        ("reference", "--faults", "3", "--mechanism", "memory"),
        (f"{ROOT}/tests/stores/log_store.py:good:recover", "--fault", "flipped"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert durability("disk", *arguments, cwd=str(tmp_path)).status == USAGE
