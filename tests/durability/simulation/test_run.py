"""Whole runs: the node holds, runs are reproducible, and defects of the node are found."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from durability.invariants.sometimes import SITUATIONS
from durability.simulation.disk import SimulatedFile
from durability.simulation.options import Faults, Options, draw_options
from durability.simulation.run import Run, replay, run
from raft.effects import ReadReady
from raft.follower import Follower
from raft.leader import Leader
from raft.member import Member
from raft.message import Message
from raft.snapshot import SnapshotWriter
from raft.snapshot_transfer import OutgoingSnapshot
from raft.storage import Storage

SEEDS = 20
STEPS = 1500


def report(result: Run) -> str:
    return (
        f"seed {result.seed}, step {result.violation_step}: {result.violations}\n{result.options}"
    )


@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
@pytest.mark.parametrize("faults", ["none", "gentle", "swarm"])
def test_every_property_holds(faults: Faults, nodes: int) -> None:
    for seed in range(SEEDS // 2):
        result = run(draw_options(seed, faults, nodes), seed, STEPS)
        assert not result.violations, report(result)
        assert result.had_leader


def test_swarm_runs_come_into_every_situation() -> None:
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        seen += run(draw_options(seed, "swarm"), seed, STEPS, settle=False).sometimes
    assert [situation for situation in SITUATIONS if not seen[situation]] == []


def test_equal_seeds_make_equal_runs_and_others_do_not() -> None:
    options = draw_options(1, "swarm")
    first, again = (run(options, 1, STEPS) for _ in range(2))
    assert first == again
    assert first.digest != run(options, 2, STEPS).digest


def test_without_a_seed_runs_differ_and_say_which_they_drew() -> None:
    options = draw_options(1, "swarm")
    first, other = (run(options, None, 500, settle=False) for _ in range(2))
    assert first.digest != other.digest
    assert run(options, first.seed, 500, settle=False).digest == first.digest


def test_the_actions_of_a_run_are_the_run() -> None:
    options = draw_options(4, "swarm")
    first = run(options, 4, STEPS, settle=False)
    assert replay(options, 4, first.actions).digest == first.digest


def test_any_part_of_the_actions_is_a_run_too() -> None:
    options = draw_options(4, "swarm")
    actions = run(options, 4, STEPS, settle=False).actions
    for part in (actions[::2], actions[::-1], actions[STEPS // 2 :]):
        assert replay(options, 4, part).violations == []


def forgets_its_vote(patch: pytest.MonkeyPatch) -> None:
    save = Storage.save_term
    patch.setattr(Storage, "save_term", lambda self, term, _: save(self, term, None))


def appends_without_a_sync(patch: pytest.MonkeyPatch) -> None:
    sync = SimulatedFile.sync

    def sync_small(self: SimulatedFile) -> None:
        if self.size() < 200:  # the group can still be founded
            sync(self)

    patch.setattr(SimulatedFile, "sync_data", sync_small)


def votes_for_a_shorter_log(patch: pytest.MonkeyPatch) -> None:
    def would_elect(self: Member, _: Message) -> bool:
        return self.replica.storage.metadata.is_complete

    patch.setattr(Member, "_would_elect", would_elect)


def counts_itself_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("raft.replication.Replication.quorum_index", lambda self, _: self._durable_index)


def grants_pre_votes_though_a_leader_is_heard(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("raft.election.Election.hears_leader", property(lambda _: False))


def leads_on_though_nobody_answers(patch: pytest.MonkeyPatch) -> None:
    tick = Leader.tick

    def tick_and_lead_on(self: Leader) -> bool:
        tick(self)
        return True

    patch.setattr(Leader, "tick", tick_and_lead_on)


def reads_without_asking(patch: pytest.MonkeyPatch) -> None:
    def read(self: Leader, context: object) -> None:
        replica = self._replica
        replica.effects.append(ReadReady(context, replica.commit_index))

    patch.setattr(Leader, "read", read)


def votes_though_it_has_lost_entries(patch: pytest.MonkeyPatch) -> None:
    def would_elect(self: Member, message: Message) -> bool:
        log = self.replica.log
        last = (message.last_log_term, message.last_log_index)
        return last >= (log.last_term, log.last_index)

    patch.setattr(Member, "_would_elect", would_elect)


def counts_before_it_has_synced(patch: pytest.MonkeyPatch) -> None:
    def sync(self: Leader) -> None:
        self.replication.stored(self._replica.log.last_index)
        self._commit()

    patch.setattr(Leader, "sync", sync)


DEFECTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], set[str]]] = {
    "a vote is not stored": (forgets_its_vote, {"P7", "P8", "P9"}),
    "an entry is not synced": (appends_without_a_sync, {"P8", "P9", "P10"}),
    "any log is good enough for a vote": (votes_for_a_shorter_log, {"P4", "P5", "P6"}),
    "a leader counts what it has not synced": (counts_before_it_has_synced, {"P6", "P10"}),
    "who has lost entries votes (D44)": (votes_though_it_has_lost_entries, {"P20"}),
    "the leader counts itself alone": (counts_itself_alone, {"P10"}),
    "a pre-vote is granted at any time": (grants_pre_votes_though_a_leader_is_heard, {"P22"}),
    "a leader leads on though nobody answers": (leads_on_though_nobody_answers, {"P22"}),
    "a read asks nobody": (reads_without_asking, {"P13"}),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, kinds = DEFECTS[name]
    plant(monkeypatch)
    for seed in range(60):
        result = run(draw_options(seed, "swarm"), seed, STEPS, settle=False)
        if result.violations:
            assert result.violations[0].kind in kinds, report(result)
            return
    pytest.fail("not found in 60 seeds")


def test_a_cut_that_keeps_a_part_finds_what_one_that_keeps_nothing_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A snapshot's name is not synced before the log is compacted, whose removals are."""
    commit = SnapshotWriter.commit

    def commit_without_a_name(self: SnapshotWriter) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(self._filesystem, "sync", lambda: None)
            commit(self)

    monkeypatch.setattr(SnapshotWriter, "commit", commit_without_a_name)
    options = Options(
        nodes=1,
        snapshot_threshold_entries=4,
        trailing_entries=0,
        max_segment_bytes=128,
        crash_rate=0.05,
        power_cut=1.0,
        interrupted_write=1.0,
        proposal_rate=0.6,
    )

    def broken(model: str | None) -> list[int]:
        runs = (run(replace(options, model=model), seed, 1500, settle=False) for seed in range(15))
        return [result.seed for result in runs if result.violations]

    assert broken("posix-default")
    assert not broken(None)
    assert not broken("ext4-ordered")  # whose log keeps the order


def test_an_exception_in_a_node_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Follower, message: object) -> None:
        raise KeyError(message)

    monkeypatch.setattr(Follower, "append_entries", fail)
    result = run(Options(), 1, STEPS)
    assert result.violations[0].kind == "exception"
    assert "KeyError" in result.violations[0].message


def test_a_cluster_that_never_agrees_breaks_liveness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Leader, "on_append_response", lambda _self, _message: None)
    result = run(replace(Options(), read_rate=0.0), 1, STEPS)
    assert result.violations[0].kind == "P18"


def test_a_snapshot_that_never_arrives_breaks_liveness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OutgoingSnapshot, "advance", lambda _self, _received_bytes: False)
    options = Options(
        snapshot_threshold_entries=4,
        trailing_entries=0,
        snapshot_chunk_bytes=16,
        crash_rate=0.02,
        downtime_ticks_max=60,
    )
    result = run(options, 1, STEPS)
    assert result.violations[0].kind == "P18"


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(11813, id="a leader has removed the only peer that it heard"),
        pytest.param(11485, id="a node is sent three snapshots in a row"),
        pytest.param(12828, id="two learners are sent three snapshots in a row"),
    ],
)
def test_what_was_taken_for_a_violation_is_none(seed: int) -> None:
    result = run(draw_options(seed, "swarm"), seed, STEPS)
    assert not result.violations, report(result)


def test_who_takes_the_only_candidate_for_a_stranger_votes_for_it() -> None:
    """Two hold different changes of the members, neither of which is committed."""
    result = run(draw_options(21269, "swarm"), 21269, STEPS)
    assert not result.violations, report(result)
