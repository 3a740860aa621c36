"""The commands as a user runs them: what they print, what they exit with, what they refuse."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from durability import cli
from durability.audit.guarantees import breach
from durability.campaign.cycle import Plan
from durability.report.finding import Finding, keep
from durability.report.result import Result
from durability.targets.contract import Target
from durability.trace.records import Open
from durability.trace.trace import Trace
from tests.durability.commands import ROOT, durability, environment, program

HELD, VIOLATION, USAGE, INCONCLUSIVE = range(4)

RAFTCR = Path(ROOT, "tests", "data", "raftcr")
BROKEN = str(RAFTCR / "dir7_torn_tail")
WHOLE = sorted(str(path) for path in RAFTCR.glob("dir*/") if "dir7" not in path.name)


def run(*arguments: str, cwd: Path, stdout: int | None = subprocess.PIPE) -> tuple[int, str, str]:
    """Run `durability ...` without further options; return status, stdout and stderr."""
    buffered = environment()
    buffered.pop("PYTHONUNBUFFERED", None)  # else nothing is left for the interpreter's last flush
    done = subprocess.run(
        [sys.executable, "-m", "durability", *arguments],
        cwd=cwd,
        env=buffered,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


# What the commands are for


def test_the_doctor_shows_what_works_by_doing_it(tmp_path: Path) -> None:
    done = durability("doctor", "--directory", str(tmp_path), cwd=str(tmp_path))
    checks = {check["name"]: check for check in done.document["checks"]}
    assert done.status == HELD, done.stdout
    assert (
        checks["exact kill"]["detail"] == "20 of 20 kills left exactly the bytes that were ordered"
    )
    assert checks["torn write"]["detail"] == "a write of 16384 bytes was cut at 8192"
    assert checks["order of acknowledgements"]["ok"]
    assert checks["failing disk"]["ok"]
    assert set(checks) >= {"network namespaces", "loop devices"}
    assert os.listdir(tmp_path) == []


def test_a_run_is_recorded_and_shown(tmp_path: Path) -> None:
    done = durability("trace", program("good_append"), "-o", "file", cwd=str(tmp_path))
    assert done.status == HELD, done.stdout
    figures = done.document
    assert figures["acks"] == 200
    assert figures["untraceable"] == []
    status, shown, _ = run("trace", "show", "file", cwd=tmp_path)
    lines = shown.splitlines()
    assert status == HELD
    assert len(lines) == figures["operations"]
    last = [line for line in lines if " write log at " in line][-1]
    offset, size = int(last.split()[0]), int(last.split()[-2])
    assert offset + size == figures["bytes"]
    again = durability("trace", program("good_append"), "-o", "file", cwd=str(tmp_path))
    assert again.status == USAGE
    assert "file exists already" in again.stderr


def test_data_directories_are_audited(tmp_path: Path) -> None:
    assert len(WHOLE) == 4
    done = durability("audit", *WHOLE, cwd=str(tmp_path))
    assert done.status == HELD, done.stdout
    assert [found["path"] for found in done.document["directories"]] == WHOLE
    assert {found["format"] for found in done.document["directories"]} == {"raft.cr v1"}
    for found in done.document["directories"]:
        expected = json.loads(Path(f"{found['path']}.recover.json").read_text(encoding="utf-8"))
        assert found["term"] == expected["current_term"]
        assert found["last_index"] == expected["last_index"]


def test_the_broken_directory_is_a_violation_and_can_be_known(tmp_path: Path) -> None:
    done = durability("audit", *WHOLE, BROKEN, cwd=str(tmp_path))
    assert done.status == VIOLATION
    (violation,) = done.document["violations"]
    assert violation["kind"] == "commit-beyond-log"
    assert violation["subject"] == BROKEN
    assert violation["reproduce"] == f"durability audit {BROKEN}"
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps(done.document))
    arguments = ("--baseline", str(baseline))
    assert durability("audit", BROKEN, *arguments, cwd=str(tmp_path)).status == HELD
    shutil.copytree(BROKEN, tmp_path / "another")
    assert durability("audit", "another", *arguments, cwd=str(tmp_path)).status == VIOLATION


# A violation wins


def test_a_directory_that_is_missing_hides_no_violation(tmp_path: Path) -> None:
    done = durability("audit", "/nonexistent", BROKEN, cwd=str(tmp_path))
    assert done.status == VIOLATION
    assert "commit-beyond-log" in done.stdout
    assert "/nonexistent" in done.stderr
    done = durability("audit", WHOLE[0], "/nonexistent", cwd=str(tmp_path))
    assert done.status == done.document["exit_status"] == USAGE
    assert WHOLE[0] in done.stdout
    assert "/nonexistent" in done.stderr


def test_an_empty_directory_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = durability("audit", "empty", cwd=str(tmp_path))
    assert done.status == INCONCLUSIVE
    assert done.document["reasons"] == ["empty: there is nothing in it"]


@pytest.mark.parametrize(("directory", "status"), [(BROKEN, VIOLATION), (WHOLE[0], INCONCLUSIVE)])
def test_a_report_that_cannot_be_written_is_said_and_changes_no_violation(
    tmp_path: Path, directory: str, status: int
) -> None:
    for option in ("--json", "--junit", "--report"):
        found, shown, errors = run("audit", directory, option, "/dev/full", cwd=tmp_path)
        assert found == status
        assert "durability audit" in shown
        assert "/dev/full cannot be written: No space left" in errors
    done = durability("audit", directory, "--junit", "/dev/full", cwd=str(tmp_path))
    assert done.status == done.document["exit_status"] == status


@pytest.mark.parametrize(("directory", "status"), [(BROKEN, VIOLATION), (WHOLE[0], INCONCLUSIVE)])
def test_a_full_disk_below_standard_output_changes_no_violation(
    tmp_path: Path, directory: str, status: int
) -> None:
    with open("/dev/full", "wb") as full:
        found, _, errors = run("audit", directory, cwd=tmp_path, stdout=full.fileno())
    assert found == status
    assert errors == "Error: the summary cannot be printed\n"


def test_a_recording_that_cannot_be_printed_is_inconclusive(tmp_path: Path) -> None:
    kept(tmp_path)
    with open("/dev/full", "wb") as full:
        found, _, errors = run("trace", "show", "finding/trace", cwd=tmp_path, stdout=full.fileno())
    assert found == INCONCLUSIVE
    assert errors.splitlines() == ["Error: [Errno 28] No space left on device"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("audit", BROKEN), VIOLATION),
        (("audit", WHOLE[0]), HELD),
        (("trace", "show", "finding/trace"), HELD),
    ],
)
def test_a_reader_that_goes_away_changes_nothing(
    tmp_path: Path, arguments: tuple[str, ...], status: int
) -> None:
    kept(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    found, _, errors = run(*arguments, cwd=tmp_path, stdout=writer)
    os.close(writer)
    assert (found, errors) == (status, "")


def kept(folder: Path) -> None:
    """Keep a finding whose target is the reference, in the folder `finding`."""
    finding = Finding(
        target="reference", at="1", tear="none", seed=1, violations=[breach("lost", "")]
    )
    records = [Open(1, n, b"%d" % n, os.O_CREAT, created=True) for n in range(100)]
    os.rename(keep(finding, Trace([], [*records]), "x", str(folder)), folder / "finding")


def test_a_defect_of_ours_is_no_violation(tmp_path: Path) -> None:
    script = """
import sys
from durability import cli
def broken(*_):
    raise ZeroDivisionError("ours")
cli.catalogue.available = broken
cli.main(sys.argv[1:])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "targets", "--json", "result.json"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == INCONCLUSIVE
    assert "ZeroDivisionError: ours" in done.stderr
    document = json.loads((tmp_path / "result.json").read_text())
    assert (document["verdict"], document["exit_status"]) == ("inconclusive", INCONCLUSIVE)
    assert "ZeroDivisionError('ours')" in document["reasons"][0]


def test_one_bad_case_hides_no_other(tmp_path: Path) -> None:
    arguments = ("--kills", "5", "--seed", "1")
    durability("crash", program("ack_before_write"), *arguments, cwd=str(tmp_path))
    bad = tmp_path / "durability-findings" / "bad"
    bad.mkdir()
    (bad / "finding.json").write_text("{")
    done = durability("replay", ".", cwd=str(tmp_path))
    assert done.status == VIOLATION
    assert done.document["cases"] == 2
    assert "bad/finding.json: not a finding" in done.document["reasons"][0]
    done = durability("replay", str(bad), cwd=str(tmp_path))
    assert done.status == done.document["exit_status"] == USAGE


# What is refused before anything is done


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("crash", "--directory", "/proc"), "no directory can be made in '/proc'"),
        (("crash", "--mechanism", "timer", "--tear", "page"), "neither --tear nor --at"),
        (("crash", "--mechanism", "timer", "--at", "7"), "neither --tear nor --at"),
        (("trace", "reference", "-o", "/nonexistent/file"), "folder of '/nonexistent/file'"),
        (("targets", "--json", "a", "--junit", "./a"), "to one file"),
        (("targets", "--json", "."), "is a folder"),
        (("audit", BROKEN, "--baseline", "/nonexistent"), "/nonexistent: No such file"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    status, shown, errors = run(*arguments, cwd=tmp_path)
    assert status == USAGE
    assert says in errors
    assert shown == ""
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "mechanism"),
    [([], "timer"), (["--tear", "page"], "seccomp"), (["--at", "7"], "seccomp")],
)
def test_what_the_clock_cannot_do_is_not_left_to_it(
    monkeypatch: pytest.MonkeyPatch, options: list[str], mechanism: str
) -> None:
    """Where kills cannot be exact, `--mechanism auto` must not take a position for a time."""
    plans: list[Plan] = []

    def planned(_target: Target, plan: Plan, *_: object) -> Result:
        plans.append(plan)
        return Result("crash", reasons=["only planned"])

    monkeypatch.setattr(cli, "exact_or_timer", lambda: ("timer", "no seccomp here"))
    monkeypatch.setattr(cli, "crash_loop", planned)
    CliRunner().invoke(cli.main, ["crash", *options])
    (plan,) = plans
    assert plan.mechanism == mechanism


def test_simulate_runs_every_seed_under_every_property(tmp_path: Path) -> None:
    arguments = ("simulate", "--seeds", "0..3", "--steps", "400")
    done = durability(*arguments, cwd=str(tmp_path))
    assert done.status == 0, done.stdout
    assert (done.document["seeds"], done.document["seeds_with_leader"]) == (4, 4)
    assert done.document["invariant_checks"] > done.document["steps"] > 4 * 400
    again = durability(*arguments, "--jobs", "1", cwd=str(tmp_path))
    assert again.document["digest"] == done.document["digest"]
    other = durability("simulate", "--seeds", "4..7", "--steps", "400", cwd=str(tmp_path))
    assert other.document["digest"] != done.document["digest"]


def test_simulate_says_when_its_time_was_up(tmp_path: Path) -> None:
    arguments = ("simulate", "--seeds", "0..99999", "--budget", "0.1")
    done = durability(*arguments, cwd=str(tmp_path))
    assert done.status == 3
    assert "time was up" in done.document["reasons"][0]


@pytest.mark.parametrize("seeds", ["3", "5..2", "a..b", "0.."])
def test_simulate_refuses_what_is_no_range_of_seeds(tmp_path: Path, seeds: str) -> None:
    done = durability("simulate", "--seeds", seeds, cwd=str(tmp_path))
    assert done.status == 2
    assert "A..B" in done.stderr


def test_trace_makes_its_directory_where_it_is_told_to(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    arguments = ("trace", program("good_append"), "-o", "kept", "--directory")
    done = durability(*arguments, str(place), cwd=str(tmp_path))
    assert done.status == 0, done.stdout + done.stderr
    assert list(place.iterdir()) == []
    (tmp_path / "kept").unlink()
    refused = durability(*arguments, str(tmp_path / "nowhere"), cwd=str(tmp_path))
    assert refused.status == 2
    assert "nowhere" in refused.stderr
