"""Campaigns that show too little must not come out as held, nor lose what they have shown."""

import textwrap
from pathlib import Path

import pytest

from tests.durability.commands import durability, program

HELD, VIOLATION, _USAGE, INCONCLUSIVE = range(4)

RECOVER = """
    import sys
    for line in open(sys.argv[1] + "/log").read().splitlines():
        print("item", line)
"""

APPEND = """
    import mmap, os, sys, time
    directory = sys.argv[1]
    log = os.open(directory + "/log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def store(number):
        os.write(1, b"item %d\\n" % number)
        os.write(log, b"%d\\n" % number)
        os.write(1, b"ack %d\\n" % number)
"""


def describe(
    directory: Path, run: str, recover: str = RECOVER, item: str = "^item (?P<id>.+)$"
) -> str:
    """Write a program and its description; return the description's path."""
    (directory / "run.py").write_text(textwrap.dedent(APPEND) + textwrap.dedent(run))
    (directory / "recover.py").write_text(textwrap.dedent(recover))
    path = directory / "store.toml"
    path.write_text(
        f"""
        name = "store"
        [run]
        command = ["python3", "-S", "run.py", "{{data}}"]
        ack = '^ack (?P<id>.+)$'
        item = '^item (?P<id>.+)$'
        [recover]
        command = ["python3", "-S", "recover.py", "{{data}}"]
        item = '{item}'
        """
    )
    return str(path)


def test_what_a_run_does_behind_the_traces_back_makes_the_campaign_inconclusive(
    tmp_path: Path,
) -> None:
    target = describe(
        tmp_path,
        """
        for number in range(50):
            store(number)
        other = os.open(directory + "/other", os.O_CREAT | os.O_RDWR, 0o600)
        os.ftruncate(other, 4096)
        mmap.mmap(other, 4096)[:5] = b"stays"
        """,
    )
    done = durability("crash", target, "--kills", "10", "--seed", "1", cwd=str(tmp_path))
    assert done.status == INCONCLUSIVE, done.stdout
    assert "mmap of other" in done.document["reasons"][0]


def test_a_run_that_had_not_ended_is_said_to_be_explored_in_part(tmp_path: Path) -> None:
    target = describe(
        tmp_path,
        """
        for number in range(50):
            store(number)
        time.sleep(60)
        """,
    )
    arguments = ("--kills", "5", "--seed", "1", "--measure", "0.5")
    done = durability("crash", target, *arguments, cwd=str(tmp_path))
    assert done.status == HELD, done.stdout
    assert "the first 0.5 s" in done.document["notes"][0]


def test_a_run_that_has_not_begun_to_write_is_said_to_need_longer(tmp_path: Path) -> None:
    target = describe(tmp_path, "")
    (tmp_path / "run.py").write_text("import time; time.sleep(60)")
    arguments = ("--kills", "5", "--measure", "0.3")
    done = durability("crash", target, *arguments, cwd=str(tmp_path))
    assert done.status == INCONCLUSIVE
    assert "--measure" in done.document["reasons"][0]


def test_one_turn_that_fails_does_not_hide_what_the_others_found(tmp_path: Path) -> None:
    target = describe(
        tmp_path,
        """
        for number in range(100):
            os.write(1, b"item %d\\nack %d\\n" % (number, number))
            os.write(log, b"%d\\n" % number)
        """,
        recover="""
        import sys
        lines = open(sys.argv[1] + "/log").read().splitlines()
        for line in lines:
            print("item", line)
        if len(lines) > 50:
            print("." * (17 << 20))
        """,
    )
    arguments = ("--kills", "12", "--tear", "none", "--seed", "1")
    done = durability("crash", target, *arguments, cwd=str(tmp_path))
    assert done.status == VIOLATION, done.stdout
    assert [violation["kind"] for violation in done.document["violations"]] == ["lost"]
    assert 0 < done.document["landed"] < 12
    assert any("bytes" in reason for reason in done.document["reasons"])


def test_a_position_that_does_not_exist_is_not_hit(tmp_path: Path) -> None:
    target = program("good_append")
    done = durability("crash", target, "--at", "68+7", cwd=str(tmp_path))
    assert done.status == INCONCLUSIVE
    assert (done.document["landed"], done.document["redrawn"]) == (0, 10)


def test_what_breaks_without_any_kill_is_said_to(tmp_path: Path) -> None:
    target = describe(
        tmp_path,
        """
        for number in range(50):
            store(number)
        """,
        item="^itme (?P<id>.+)$",
    )
    done = durability("crash", target, "--kills", "5", "--seed", "1", cwd=str(tmp_path))
    (violation,) = done.document["violations"]
    assert "also without any kill" in violation["message"]
    broken = durability(
        "crash", program("ack_before_write"), "--kills", "5", "--seed", "1", cwd=str(tmp_path)
    )
    assert "without any kill" not in broken.document["violations"][0]["message"]


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_coarsest_tear_is_looked_for_with_more_than_the_first_kill(
    tmp_path: Path, seed: str
) -> None:
    # A record of two writes is torn by a kill between them; most byte cuts retried at 'none' fall
    # before the first write and show nothing.
    target = describe(
        tmp_path,
        """
        for number in range(100, 200):
            os.write(1, b"item %d\\n" % number)
            os.write(log, b"%d" % number)
            os.write(log, b"\\n")
            os.write(1, b"ack %d\\n" % number)
        """,
        recover="""
        import sys
        text = open(sys.argv[1] + "/log").read()
        if text and not text.endswith("\\n"):
            sys.exit("a record is not whole")
        for line in text.splitlines():
            print("item", line)
        """,
    )
    arguments = ("--kills", "40", "--tear", "byte", "--jobs", "1", "--seed", seed)
    done = durability("crash", target, *arguments, cwd=str(tmp_path))
    (violation,) = done.document["violations"]
    assert violation["kind"] == "recovery-failed"
    assert "between two calls" in violation["message"]
    again = durability("replay", violation["reproduce"].split()[-1], cwd=str(tmp_path))
    assert again.status == VIOLATION
