"""Pruning: what is known of a content without recovering it is what its recovery comes to."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durability.audit.judgement import Outcome
from durability.campaign.known_recoveries import KnownRecoveries
from durability.mutants.edited import edit, edited_package, environment
from durability.mutants.planted import PLANTED, PlantedDefect
from durability.recovery.asking import AskedFilesystem, Question, all_of
from durability.recovery.recovery import Recovery
from raft.errors import DiskError
from raft.filesystem import Filesystem
from tests.durability.commands import ROOT

FILES = st.dictionaries(
    st.sampled_from(["log", "metadata", "x.tmp"]),
    st.sampled_from([b"", b"a", b"b", b"ab", b"a" * 40, b"a" * 39 + b"b"]),
)
_STEPS = 10


def outcome(said: str) -> Outcome:
    return Outcome(None, Recovery("recovered", 0, None, [], [said], "", 0.0), None)


def wander(filesystem: Filesystem, seed: int) -> str:
    """Do whatever, as it follows from the seed and from all that was seen so far."""
    seen = blake2b(b"%d" % seed)
    opened = None
    for _ in range(_STEPS):
        what, name, at = seen.digest()[:3]
        names = sorted(filesystem.names())
        chosen = names[name % len(names)] if names else "log"
        try:
            match what % 9:
                case 0 | 1 | 2:
                    opened = filesystem.open(chosen)
                case 3 if opened:
                    seen.update(b"%d" % opened.size())
                case 4 | 5 if opened:
                    seen.update(opened.read(at % 3, at % 41))
                case 6 if opened:
                    opened.append(b"+")
                case 7 if opened:
                    opened.truncate(at % 2)
                case 8 if at % 2:
                    filesystem.rename(chosen, "log")
                case _:
                    filesystem.unlink(chosen)
        except DiskError as error:
            seen.update(str(error).encode())
        seen.update("/".join(names).encode())
    return seen.hexdigest()


def recovered(
    files: Mapping[str, bytes], work: Callable[[Filesystem], str]
) -> tuple[tuple[Question, ...], Outcome]:
    """Work on files; return what was asked, and how that ended, all that is left included."""
    filesystem = AskedFilesystem(files)
    said = work(filesystem)
    left = filesystem.files()
    came = outcome(f"{said} {left.get('log')!r} {sorted(left)}")
    return filesystem.questions, came


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 1 << 16), contents=st.lists(FILES, max_size=30))
def test_what_is_known_is_what_would_have_come_of_it(
    seed: int, contents: list[dict[str, bytes]]
) -> None:
    known = KnownRecoveries()
    for files in contents:
        questions, came = recovered(files, lambda filesystem: wander(filesystem, seed))
        assert known.outcome(files) in (None, came)
        known.learn(files, questions, came)
        assert known.outcome(files) in (None, came)
    assert not known.contradiction


def test_what_is_not_read_may_differ() -> None:
    def remove(filesystem: Filesystem) -> str:
        filesystem.unlink("x.tmp")
        return str(filesystem.open("log").read(0, 2))

    known = KnownRecoveries()
    questions, came = recovered({"log": b"ab1", "x.tmp": b"1"}, remove)
    assert questions[0] == Question("log", 0, 2)
    known.learn({"log": b"ab1", "x.tmp": b"1"}, questions[:1], came)
    assert known.outcome({"log": b"ab2", "x.tmp": b"234"}) == came
    assert known.outcome({"log": b"aa1", "x.tmp": b"1"}) is None
    assert known.outcome({"log": b"ab1"}) is None


def test_what_is_read_after_a_change_of_it_counts_as_wholly_read() -> None:
    filesystem = AskedFilesystem({"log": b"abc"})
    file = filesystem.open("log")
    file.append(b"d")
    assert [*filesystem.questions] == []
    assert file.read(3, 1) == b"d"
    assert [*filesystem.questions] == [all_of("log")]
    file = filesystem.create("new")
    file.append(b"e")
    assert file.read(0, 1) == b"e"
    assert [*filesystem.questions] == [all_of("log")]


def test_a_recovery_that_is_not_deterministic_is_caught_and_nothing_is_known_then() -> None:
    numbers = count()
    orders = ["ab", "ba"]

    def undecided(filesystem: Filesystem) -> str:
        return str([filesystem.open(name).size() for name in orders[next(numbers) % 2]])

    def forgetful(filesystem: Filesystem) -> str:
        return str(next(numbers)) + str(filesystem.names())

    for work in undecided, forgetful:
        known = KnownRecoveries()
        for _ in range(2):
            assert not known.contradiction
            known.learn({"a": b"", "b": b"1"}, *recovered({"a": b"", "b": b"1"}, work))
        assert "--no-pruning" in known.contradiction
        assert known.outcome({"a": b"", "b": b"1"}) is None


def test_now_and_then_what_is_known_is_recovered_all_the_same() -> None:
    known = KnownRecoveries()
    known.learn({}, (), outcome(""))
    assert 1 <= [known.outcome({}) for _ in range(100)].count(None) <= 5


EXPLORED = [one for one in PLANTED if one.technique == "powerloss" and not one.options]
STATES_OF_RARE = {"D19": 1000, "D40": 400}


def both_ways(target: str, root: str = ROOT, states: int = 80) -> list[dict[str, Any]]:
    """Explore with pruning and without, with the node below a root; return what each came to."""
    script = "tests.durability.campaign.with_and_without_pruning"
    done = subprocess.run(
        [sys.executable, "-m", script, target, "btrfs,posix-default", str(states)],
        cwd=root,  # what is imported first
        env=environment(Path(root)),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("defect", EXPLORED, ids=lambda one: one.id)
def test_no_finding_is_lost(defect: PlantedDefect) -> None:
    edited = edit(defect.path, defect.old, defect.new)
    with edited_package(defect.path, edited) as root:
        pruned, whole = both_ways(defect.target, str(root), STATES_OF_RARE.get(defect.id, 80))
    assert (pruned["broken"], pruned["faults"]) == (whole["broken"], whole["faults"])
    assert {model for model, broken in whole["broken"].items() if broken} <= defect.shows
    assert any(whole["broken"].values())
    assert whole["pruned"] == 0


@pytest.mark.parametrize("target", ["reference", "reference-follower", "reference-batches"])
def test_of_the_node_as_it_is_much_need_not_be_recovered(target: str) -> None:
    pruned, whole = both_ways(target)
    for explored in pruned, whole:
        assert not explored["faults"]
        assert not any(explored["broken"].values())
    assert pruned["pruned"] > 20
