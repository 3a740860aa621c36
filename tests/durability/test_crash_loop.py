import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.durability.commands import PROGRAMS, ROOT, durability, environment, program

NEVER_RECOVERS = f"""
name = "never"

[run]
command = ["python3", "-S", "{PROGRAMS}/good_append.py", "run", "{{data}}", "--forever"]
ack = '^ack (?P<id>.+)$'
item = '^item (?P<id>.+)$'

[recover]
command = ["false"]
item = '^item (?P<id>.+)$'
"""

WRITES_ONCE = """
name = "once"

[run]
command = ["sh", "-c", "echo item a; test -e $0/a || printf x > $0/a; echo ack a", "{data}"]
ack = '^ack (?P<id>.+)$'
item = '^item (?P<id>.+)$'

[recover]
command = ["sh", "-c", "if test -s $0/a; then echo item a; fi", "{data}"]
item = '^item (?P<id>.+)$'
"""

HELD, VIOLATION, USAGE, INCONCLUSIVE = range(4)


def test_the_reference_node_holds_at_every_byte(tmp_path: Path) -> None:
    done = durability("crash", "--kills", "60", "--seed", "7", cwd=str(tmp_path))
    found = done.document
    assert done.status == HELD, done.stdout
    assert found["verdict"] == "held"
    assert found["target"] == "reference"
    assert found["mechanism"] == "seccomp"
    assert found["tear"] == "byte"
    assert found["kills"] == found["landed"] == 60
    assert found["torn"] > 20
    assert found["distinct_offsets"] > 30
    assert found["acked"] > 1000
    assert found["lost"] == 0
    assert found["violations"] == []
    assert found["seed"] == 7


def test_the_same_seed_draws_the_same_kills_however_many_jobs_there_are(tmp_path: Path) -> None:
    keys = ("landed", "torn", "distinct_offsets", "acked", "redrawn")
    runs = [
        durability("crash", "--kills", "12", "--seed", seed, "--jobs", jobs, cwd=str(tmp_path))
        for seed, jobs in (("3", "1"), ("3", "2"), ("4", "1"))
    ]
    first, second, other = [[run.document[key] for key in keys] for run in runs]
    assert first == second
    assert first != other


@pytest.mark.parametrize(
    ("name", "tear", "status", "kinds"),
    [
        ("good_append", "byte", HELD, set()),
        ("rename_store", "byte", HELD, set()),
        ("set_store", "byte", HELD, set()),
        ("page_store", "byte", HELD, set()),
        ("ack_before_write", "none", VIOLATION, {"lost"}),
        ("no_checksum", "byte", VIOLATION, {"invented"}),
        ("no_checksum", "page", HELD, set()),
        ("loses_order", "page", VIOLATION, {"order"}),
        ("never_recovers", "byte", VIOLATION, {"recovery-failed"}),
        ("hangs", "page", VIOLATION, {"recovery-hung"}),
        ("dies_by_signal", "byte", VIOLATION, {"recovery-signalled"}),
        ("buffers", "page", INCONCLUSIVE, set()),
        ("silent", "page", INCONCLUSIVE, set()),
    ],
)
def test_control_programs_come_out_as_they_must(
    tmp_path: Path, name: str, tear: str, status: int, kinds: set[str]
) -> None:
    kills = "6" if name == "hangs" else "25"
    done = durability(
        "crash", program(name), "--kills", kills, "--tear", tear, "--seed", "1", cwd=str(tmp_path)
    )
    found = done.document
    assert done.status == status, done.stdout + done.stderr
    assert {violation["kind"] for violation in found["violations"]} == kinds
    assert found["landed"] == int(kills)
    if status == INCONCLUSIVE:
        assert any("acknowledged before" in reason for reason in found["reasons"])


def test_a_violation_is_kept_and_can_be_replayed(tmp_path: Path) -> None:
    arguments = ("--kills", "10", "--seed", "1")
    done = durability("crash", program("ack_before_write"), *arguments, cwd=str(tmp_path))
    (violation,) = done.document["violations"]
    assert violation["invariant"]
    assert "kill between two calls" in violation["message"]
    command, verb, folder = violation["reproduce"].split()
    assert (command, verb) == ("durability", "replay")
    assert violation["reproduce"] in done.stdout
    assert sorted(os.listdir(tmp_path / folder)) == ["crashed", "finding.json", "trace"]
    again = durability("replay", folder, cwd=str(tmp_path))
    assert again.status == VIOLATION
    assert again.document["failed"] == [folder]
    assert [found["kind"] for found in again.document["violations"]] == ["lost"]
    everything = durability("replay", ".", cwd=str(tmp_path))
    assert everything.document["cases"] == 1


def test_a_finding_that_needs_a_torn_byte_is_called_stress(tmp_path: Path) -> None:
    arguments = ("--kills", "25", "--tear", "byte", "--seed", "1")
    done = durability("crash", program("no_checksum"), *arguments, cwd=str(tmp_path))
    (violation,) = done.document["violations"]
    assert "stress" in violation["message"]


def test_a_known_finding_does_not_fail_the_run(tmp_path: Path) -> None:
    arguments = ("crash", program("ack_before_write"), "--kills", "5", "--seed", "1")
    first = tmp_path / "known.json"
    subprocess.run(
        [sys.executable, "-m", "durability", *arguments, "--json", str(first)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        check=False,
    )
    done = durability(*arguments, "--baseline", str(first), cwd=str(tmp_path))
    assert done.status == HELD
    assert [known["kind"] for known in done.document["known"]] == ["lost"]


def test_the_reference_node_holds_in_chains_and_when_its_recovery_is_killed(tmp_path: Path) -> None:
    arguments = ("--kills", "8", "--chain", "--links", "4", "--in-recovery", "--seed", "5")
    done = durability("crash", *arguments, cwd=str(tmp_path))
    found = done.document
    assert done.status == HELD, done.stdout
    assert found["kills_by_link"] == [8, 8, 8, 8]
    assert found["kills"] == found["landed"] == found["recoveries_killed"] == 32
    assert found["lost"] == 0


def test_the_same_seed_draws_the_same_chains_however_many_jobs_there_are(tmp_path: Path) -> None:
    keys = ("landed", "torn", "distinct_offsets", "distinct_states", "acked", "kills_by_link")
    chain = ("--kills", "5", "--chain", "--in-recovery", "--seed", "3")
    runs = [
        durability("crash", *chain, "--jobs", jobs, cwd=str(tmp_path)).document
        for jobs in ("1", "2")
    ]
    first, second = [[run[key] for key in keys] for run in runs]
    assert first == second


@pytest.mark.parametrize("name", ["rename_store", "set_store"])
def test_programs_that_hold_hold_when_they_are_killed_again(tmp_path: Path, name: str) -> None:
    arguments = ("--kills", "6", "--chain", "--in-recovery", "--tear", "byte", "--seed", "1")
    done = durability("crash", program(name), *arguments, cwd=str(tmp_path))
    assert done.status == HELD, done.stdout
    assert min(done.document["kills_by_link"]) > 0
    assert done.document["recoveries_killed"] > 0


@pytest.mark.parametrize(
    ("options", "where"),
    [(("--chain",), "in link 2 of a chain"), (("--in-recovery",), "inside recovery")],
)
def test_a_recovery_that_loses_more_when_it_is_killed_is_found_by_a_second_kill(
    tmp_path: Path, options: tuple[str, ...], where: str
) -> None:
    arguments = ("crash", program("rewrites_log"), "--kills", "10", "--seed", "1")
    once = durability(*arguments, cwd=str(tmp_path))
    assert once.status == HELD, once.stdout
    done = durability(*arguments, *options, cwd=str(tmp_path))
    assert done.status == VIOLATION, done.stdout
    (violation,) = done.document["violations"]
    assert violation["kind"] == "lost"
    assert where in violation["message"]
    again = durability("replay", violation["reproduce"].split()[-1], cwd=str(tmp_path))
    assert [found["kind"] for found in again.document["violations"]] == ["lost"]


def test_a_recovery_that_changes_nothing_cannot_be_killed_inside(tmp_path: Path) -> None:
    arguments = ("--kills", "4", "--in-recovery", "--seed", "1")
    done = durability("crash", program("no_checksum"), *arguments, cwd=str(tmp_path))
    assert done.status == INCONCLUSIVE
    assert "no recovery was killed" in done.document["reasons"][0]


def test_a_program_with_nothing_left_to_write_ends_its_chains(tmp_path: Path) -> None:
    """Its last acknowledgement is printed behind its last byte, where this kill lands."""
    once = tmp_path / "once.toml"
    once.write_text(WRITES_ONCE)
    done = durability("crash", str(once), "--kills", "5", "--chain", cwd=str(tmp_path))
    assert done.status == INCONCLUSIVE, done.stdout
    assert set(done.document["kills_by_link"]) == {5}
    assert any("what an earlier kill had left" in reason for reason in done.document["reasons"])


def test_an_offset_that_is_never_reached_is_counted_and_shows_nothing(tmp_path: Path) -> None:
    arguments = ("--at", "999999999", "--seed", "1")
    done = durability("crash", program("good_append"), *arguments, cwd=str(tmp_path))
    assert done.status == INCONCLUSIVE
    assert done.document["landed"] == 0
    assert done.document["redrawn"] == 10


def test_a_position_is_hit_exactly(tmp_path: Path) -> None:
    done = durability("crash", "--at", "777", cwd=str(tmp_path))
    assert done.status == HELD
    assert (done.document["kills"], done.document["landed"]) == (1, 1)


def test_a_budget_that_ends_early_is_inconclusive_only_for_a_number_that_was_asked_for(
    tmp_path: Path,
) -> None:
    without = durability("crash", "--budget", "1", cwd=str(tmp_path))
    assert without.status == HELD
    assert 0 < without.document["landed"] < 200
    asked = durability("crash", "--kills", "100000", "--budget", "1", cwd=str(tmp_path))
    assert asked.status == INCONCLUSIVE
    assert "time was up" in asked.document["reasons"][0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("crash", "referense"), "did you mean reference"),
        (("crash", "/no/such/store.toml"), "/no/such/store.toml"),
        (("crash", "--no-such-option"), "no-such-option"),
        (("crash", "--kills", "0"), "kills"),
        (("crash", "--at", "x"), "not a number of bytes"),
        (("crash", "--offline", "--chain"), "--offline"),
        (("crash", "--offline", "--in-recovery"), "--offline"),
        (("crash", "--offline", "--kills", "5"), "--kills"),
        (("crash", "--offline", "--at", "0"), "--at"),
        (("crash", "--chain", "--at", "5"), "--at"),
        (("crash", "--links", "2"), "--chain"),
        (("crash", "--chain", "--links", "1"), "links"),
        (("crash", "--cross-check", "2"), "--offline"),
        (("crash", "--chain", "--mechanism", "timer"), "exact kills"),
        (("crash", "--kills", "1", "--directory", "/no/such/directory"), "/no/such/directory"),
        (("crash", "--kills", "1", "--baseline", "/no/such/file"), "/no/such/file"),
        (("crash", "--kills", "1", "--json", "/no/such/folder/x"), "/no/such/folder/x"),
        (("crash", "--kills", "1", "--json", "/"), "/"),
        (("audit", "/no/such/directory"), "/no/such/directory"),
        (("replay", "/no/such/finding"), "/no/such/finding"),
        (("trace", "show", "/no/such/trace"), "/no/such/trace"),
    ],
)
def test_a_wrong_command_line_is_refused_in_words(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "durability", *arguments],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == USAGE, done.stdout + done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_leaves_nothing_behind_and_says_what_was_done(
    tmp_path: Path, number: signal.Signals
) -> None:
    directories = tmp_path / "directories"
    directories.mkdir()
    arguments = ("crash", "--kills", "100000", "--directory", str(directories))
    running = subprocess.Popen(
        # Whoever runs the tests may ignore SIGHUP, as nohup does, and we would inherit that.
        ["env", "--default-signal", sys.executable, "-m", "durability", *arguments],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    with running:
        try:
            family = _wait_for_targets(psutil.Process(running.pid))
            os.kill(running.pid, number)
            stdout, _ = running.communicate(timeout=30)
        finally:
            running.kill()
    assert running.returncode == INCONCLUSIVE
    assert "interrupted" in stdout
    assert os.listdir(directories) == []
    assert not [process for process in family if process.is_running()]


def test_a_harness_that_is_killed_takes_its_targets_with_it(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "durability",
            "crash",
            "--kills",
            "100000",
            "--directory",
            str(tmp_path),
        ],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
    )
    family = _wait_for_targets(psutil.Process(running.pid))
    running.kill()
    running.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert os.listdir(tmp_path) == []


def _wait_for_targets(harness: psutil.Process) -> list[psutil.Process]:
    """Return the harness's descendants once some of them are targets under way."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(psutil.NoSuchProcess):  # a target ended while we looked
            if any(worker.children() for worker in harness.children()):
                return harness.children(recursive=True)
        time.sleep(0.01)
    raise AssertionError("no target was started")


def test_two_runs_at_once_keep_apart(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "durability",
        "crash",
        program("ack_before_write"),
        "--kills",
        "4",
        "--seed",
        "1",
    ]
    runs = [
        subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [run.wait(timeout=60) for run in runs] == [VIOLATION, VIOLATION]
    assert len(os.listdir(tmp_path / "durability-findings")) == 2


def test_the_commands_need_no_checkout(tmp_path: Path) -> None:
    assert not str(tmp_path).startswith(ROOT)
    done = durability("targets", cwd=str(tmp_path))
    assert done.status == HELD
    assert done.document["targets"][0]["name"] == "reference"


def test_kills_by_the_clock_are_counted_and_called_so(tmp_path: Path) -> None:
    arguments = ("--kills", "10", "--mechanism", "timer", "--seed", "1")
    done = durability("crash", *arguments, cwd=str(tmp_path))
    assert done.status == HELD, done.stdout
    assert done.document["mechanism"] == "timer"
    assert done.document["tear"] == "none"
    assert done.document["landed"] == 10
    assert done.document["acked"] > 0
    never = tmp_path / "never.toml"
    never.write_text(NEVER_RECOVERS)
    broken = durability("crash", str(never), *arguments, cwd=str(tmp_path))
    assert broken.status == VIOLATION
    (violation,) = broken.document["violations"]
    assert violation["kind"] == "recovery-failed"
    assert "at a moment of chance" in violation["message"]
    again = durability("replay", violation["reproduce"].split()[-1], cwd=str(tmp_path))
    assert again.status == VIOLATION
