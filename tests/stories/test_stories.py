"""The protocol's stories: scripts whose transcripts are kept, and read when they change.

`pytest tests/stories --rewrite-stories` writes them anew.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from durability.invariants.events import Event
from durability.invariants.observer import Observer, all_properties
from durability.simulation.action import (
    Action,
    AddLearner,
    Crash,
    Deliver,
    Propose,
    Read,
    RemovePeer,
    Restart,
    TakeSnapshot,
    Tick,
    Transfer,
)
from durability.simulation.cluster import Cluster
from durability.simulation.options import Options
from durability.simulation.transcript import Transcript
from raft.election import Role
from raft.sessions import encode_open

OPTIONS = Options(
    election_timeout_ticks_min=5,
    election_timeout_ticks_max=9,
    snapshot_threshold_entries=None,
    snapshot_chunk_bytes=40,
)


class Story:
    """A script that is performed and written down."""

    def __init__(self, options: Options = OPTIONS) -> None:
        self.transcript = Transcript()
        self.observer = Observer(
            all_properties(
                options.election_timeout_ticks_min,
                options.election_timeout_ticks_max,
                pre_vote=options.pre_vote,
            )
        )
        self.cluster = Cluster(options, 1, self.observe)

    def observe(self, event: Event) -> None:
        self.transcript.observe(event)
        self.observer.observe(event)

    def do(self, *actions: Action) -> None:
        for action in actions:
            self.transcript.note(str(action))
            self.cluster.perform(action)

    def time_out(self, node: int) -> None:
        """Let ticks pass for a node until it stands for election."""
        self.transcript.note(f"node {node} times out")
        for _ in range(100):
            running = self.cluster.members[node].node
            assert running is not None
            if running.role in (Role.CANDIDATE, Role.PRE_CANDIDATE):
                return
            self.cluster.perform(Tick(node))
        raise AssertionError(node)

    def ticks(self, *nodes: int, count: int = 1) -> None:
        self.transcript.note(f"{count} ticks for {', '.join(map(str, nodes))}")
        for _ in range(count):
            for node in nodes:
                self.cluster.perform(Tick(node))

    def deliver_all(self, *among: int) -> None:
        """Deliver everything in order until nothing moves; lose what goes elsewhere."""
        nodes = among or tuple(self.cluster.members)
        self.transcript.note(f"deliver all among {', '.join(map(str, nodes))}")
        while self.cluster.in_flight:
            way = next(iter(self.cluster.in_flight))
            if way[0] in nodes and way[1] in nodes:
                self.cluster.perform(Deliver(*way))
            else:
                del self.cluster.in_flight[way]

    def deliver(self, sender: int, receiver: int) -> None:
        """Deliver the oldest message between two nodes, and lose everything else."""
        way = next(way for way in self.cluster.in_flight if way[:2] == (sender, receiver))
        self.transcript.note(f"deliver {sender} -> {receiver}, lose the rest")
        self.cluster.perform(Deliver(*way))
        for other in [each for each in self.cluster.in_flight if each[0] != receiver]:
            del self.cluster.in_flight[other]

    def elect(self, node: int, *among: int) -> None:
        self.time_out(node)
        self.deliver_all(*among)
        assert self.leader() == node

    def leader(self) -> int | None:
        leader = self.cluster.leader()
        return leader.node_id if leader else None


def election() -> Story:
    story = Story()
    story.elect(1)
    story.do(Propose(1, encode_open()))
    story.deliver_all()
    return story


def re_election() -> Story:
    story = Story()
    story.elect(1)
    story.do(Crash(1))
    story.ticks(2, 3, count=5)
    story.elect(2, 2, 3)
    story.do(Restart(1))
    story.ticks(2)
    story.deliver_all()
    return story


def log_conflict() -> Story:
    """Node 1 has entries that nobody else has, and gives them up."""
    story = Story()
    story.elect(1)
    story.do(Propose(1, encode_open()), Propose(1, encode_open()))
    story.deliver_all(1)
    story.do(Crash(1))
    story.ticks(2, 3, count=5)
    story.elect(2, 2, 3)
    story.do(Restart(1))
    story.ticks(2)
    story.deliver_all()
    return story


def pre_vote_rejection_raises_term() -> Story:
    """Node 1 has the longer log, node 3 the later term, node 2 is down: they must elect node 1."""
    story = Story()
    story.elect(1)
    story.do(Propose(1, encode_open()))
    story.ticks(2, 3, count=5)
    story.time_out(3)
    story.deliver(3, 2)
    story.deliver(2, 3)
    story.do(Crash(2))
    story.ticks(1, count=18)
    story.deliver_all(3)
    story.time_out(1)
    story.deliver_all(1, 3)
    story.ticks(3, count=5)
    story.elect(1, 1, 3)
    return story


def snapshot_install() -> Story:
    story = Story()
    story.elect(1, 1, 2)
    for _ in range(3):
        story.do(Propose(1, encode_open()))
        story.deliver_all(1, 2)
    story.do(Propose(1, encode_open()))
    story.deliver_all(1, 2)
    story.do(TakeSnapshot(1))
    story.ticks(1)
    story.deliver_all()
    story.ticks(1, count=2)
    story.deliver_all()
    return story


def membership() -> Story:
    story = Story()
    story.elect(1)
    story.do(AddLearner(1, 4))
    story.deliver_all()
    story.ticks(1)
    story.deliver_all()
    story.do(RemovePeer(1, 2))
    story.deliver_all()
    story.ticks(1)
    story.deliver_all()
    return story


def leadership_transfer() -> Story:
    story = Story()
    story.elect(1)
    story.do(Transfer(1, 3))
    story.deliver_all()
    assert story.leader() == 3
    return story


def read_index() -> Story:
    story = Story()
    story.elect(1)
    story.do(Propose(1, encode_open()))
    story.deliver_all()
    story.do(Read(1))
    story.deliver_all(1, 2)
    story.do(Read(1))
    story.transcript.note("nobody hears of that read until node 1 gives up")
    story.deliver_all(1)
    story.ticks(1, count=18)
    return story


def single_voter() -> Story:
    story = Story(replace(OPTIONS, nodes=1))
    story.ticks(1, count=9)
    story.do(Propose(1, encode_open()), Crash(1, power_cut=True), Restart(1))
    story.ticks(1, count=9)
    return story


STORIES: list[Callable[[], Story]] = [
    election,
    re_election,
    log_conflict,
    pre_vote_rejection_raises_term,
    snapshot_install,
    membership,
    leadership_transfer,
    read_index,
    single_voter,
]


@pytest.mark.parametrize("tell", STORIES, ids=lambda tell: tell.__name__)
def test_a_story_goes_as_it_was_told(
    tell: Callable[[], Story], request: pytest.FixtureRequest
) -> None:
    story = tell()
    assert story.observer.violations == []
    assert story.cluster.failures == []
    path = Path(__file__).with_name(f"{tell.__name__}.txt")
    if request.config.getoption("--rewrite-stories", default=False):
        path.write_text(str(story.transcript))
    assert str(story.transcript) == path.read_text()


def test_every_transcript_has_its_story() -> None:
    told = {path.stem for path in Path(__file__).parent.glob("*.txt")}
    assert told == {tell.__name__ for tell in STORIES}
