"""S05 at a hundredth of its size, against the node it is about and against nodes with a defect."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from durability.scenarios.s05_crash_durability import kill
from durability.scenarios.scenario import Conditions, Outcome
from durability.targets import catalogue
from durability.targets.contract import Call, Target
from tests.durability.trace.alone import alone

REFERENCE = catalogue.find("reference")
KILLS = 12


def outcome(directory: Path, target: Target, budget_s: float | None = None) -> Outcome:
    conditions = Conditions(
        seed=1,
        jobs=1,
        budget_s=budget_s,
        directory=str(directory),
        disk=str(directory),
        findings=str(directory / "findings"),
    )
    return alone(lambda: kill(target, conditions, KILLS))


def test_the_node_holds_with_every_kill_landed(tmp_path: Path) -> None:
    found = outcome(tmp_path, REFERENCE)
    assert found.verdict == "held", found
    (landing,) = found.landing
    assert (landing.ordered, landing.landed) == (KILLS, KILLS)
    assert "signal 9" in landing.evidence
    assert int(found.figures["acknowledged"]) > 100
    assert int(found.figures["torn"]) > 0
    assert [found.figures[line] for line in LINES] == [0, 0, 0, 0]


LINES = (
    "temporaries_left",
    "commit_beyond_last_index",
    "terms_or_votes_taken_back",
    "acknowledged_entries_missing",
)


def recover_and(spoil: Callable[[str], None], directory: str) -> None:
    launch = REFERENCE.recovery(directory)
    assert isinstance(launch, Call)
    launch.function()
    spoil(directory)


def leave_a_temporary(directory: str) -> None:
    with open(os.path.join(directory, "metadata.tmp"), "w") as file:
        file.write("x")


def drop_the_log(directory: str) -> None:
    for name in os.listdir(directory):
        if name.endswith(".segment"):
            os.unlink(os.path.join(directory, name))


def forget_the_term(directory: str) -> None:
    """Write the metadata as of term 0, without a vote, with a good checksum."""
    from raft.filesystem import LocalFilesystem
    from raft.metadata import Metadata

    filesystem = LocalFilesystem(directory)
    metadata = Metadata.read(filesystem)
    Metadata(metadata.directory_id, metadata.group_id, metadata.node_id).write(filesystem)


def say_less(directory: str) -> None:
    """Recover, and keep silent about it."""
    null = os.open(os.devnull, os.O_WRONLY)
    stdout = os.dup(1)
    os.dup2(null, 1)
    recover_and(lambda _: None, directory)
    os.dup2(stdout, 1)


@pytest.mark.parametrize(
    ("recovery", "line"),
    [
        (partial(recover_and, leave_a_temporary), "temporaries_left"),
        (partial(recover_and, drop_the_log), "commit_beyond_last_index"),
        (partial(recover_and, forget_the_term), "terms_or_votes_taken_back"),
        (say_less, "acknowledged_entries_missing"),
    ],
    ids=LINES,
)
def test_each_line_of_the_oracle_turns_red(
    tmp_path: Path, recovery: Callable[[str], None], line: str
) -> None:
    target = replace(REFERENCE, recovery=lambda directory: Call(partial(recovery, directory)))
    found = outcome(tmp_path, target)
    assert found.verdict == "violation"
    assert int(found.figures[line]) > 0, found.figures


def test_fewer_kills_than_it_asks_for_show_nothing(tmp_path: Path) -> None:
    found = outcome(tmp_path, REFERENCE, budget_s=0.01)
    assert found.verdict == "inconclusive"
    assert found.landing[0].landed < KILLS


def test_a_node_that_promises_nothing_shows_nothing(tmp_path: Path) -> None:
    def create_a_file(directory: str) -> None:
        os.close(os.open(os.path.join(directory, "a"), os.O_CREAT))

    def recover_nothing(directory: str) -> None:
        del directory

    target = replace(
        REFERENCE,
        data="opaque",
        workload=lambda directory: Call(partial(create_a_file, directory)),
        recovery=lambda directory: Call(partial(recover_nothing, directory)),
    )
    found = outcome(tmp_path, target)
    assert found.verdict == "inconclusive"
    assert any("acknowledged before only 0 of" in reason for reason in found.reasons)
