import sys

import pytest

from durability.invariants.leader_completeness import LeaderCompleteness
from durability.simulation.small_world import Bounds, World, explore, perform
from raft.leader import Leader
from raft.storage import Storage


def plant_figure_8(patch: pytest.MonkeyPatch) -> None:
    """Commit by counting whatever the entry's term (defect D29)."""

    def commit(self: Leader) -> None:
        replica = self._replica
        index = self.replication.quorum_index(replica.membership.voters)
        if index > replica.commit_index:
            replica.commit(index)

    patch.setattr(Leader, "_commit", commit)


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(nodes=2, terms=3, entries=2),
        Bounds(nodes=2, terms=2, entries=2, pre_vote=True),
        Bounds(nodes=3, terms=2, entries=2, crashes=0, heartbeats=0),
        Bounds(nodes=3, terms=2, entries=1, in_flight_max=1),
    ],
)
def test_a_world_that_is_explored_to_the_end_holds(bounds: Bounds) -> None:
    found = explore(bounds)
    assert found.broken is None
    assert found.is_complete
    assert found.depth > 5
    assert str(found).startswith(f"all {found.distinct_states} distinct states")


@pytest.mark.parametrize("pre_vote", [False, True])
def test_a_large_world_holds_as_far_as_it_is_explored(pre_vote: bool) -> None:
    found = explore(Bounds(states_max=20_000, pre_vote=pre_vote))
    assert found.broken is None
    assert found.distinct_states >= 20_000
    assert "states/s: held" in str(found)


def test_figure_8_is_found_within_60_cpu_seconds_and_12_events(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant_figure_8(monkeypatch)
    found = explore(Bounds(entries=2, in_flight_max=1, crashes=0))
    with capsys.disabled():
        sys.stdout.write(f"\n{found}\n")
    assert found.broken is not None
    assert found.broken.property is LeaderCompleteness
    assert found.cpu_s < 60
    assert len(found.schedule) <= 12


def test_a_forgotten_vote_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save = Storage.save_term
    monkeypatch.setattr(Storage, "save_term", lambda self, term, _: save(self, term, None))
    bounds = Bounds(states_max=50_000, in_flight_max=1)
    found = explore(bounds)
    assert found.broken is not None
    assert found.broken.property.id in ("P1", "P7")
    assert len(found.schedule) < 8


def test_states_that_differ_in_names_only_are_one() -> None:
    world = World(Bounds())
    initial = world.initial()
    after = {}
    for step in world.steps(initial):
        if step.input == ("timeout", 1):
            reached = world.next(initial, step)
            assert reached is not None
            after[step.node] = reached[0]
    assert len(after) == 3
    assert len(set(after.values())) == 3
    assert len({world.key(state) for state in after.values()}) == 1
    assert world.key(initial) not in {world.key(state) for state in after.values()}


def test_an_impossible_schedule_breaks_nothing() -> None:
    world = World(Bounds())
    timeout = next(step for step in world.steps(world.initial()))
    reached = world.next(world.initial(), timeout)
    assert reached is not None
    deliver = next(step for step in world.steps(reached[0]) if step.input[0] == "deliver")
    assert perform(world, (deliver,)) is None
    assert perform(world, (timeout, deliver)) is None
