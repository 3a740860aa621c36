"""A cluster of these tests is watched: what a test does not ask for is judged all the same."""

from collections.abc import Callable

import pytest

from raft.leader import Leader
from raft.member import Member
from raft.storage import Storage
from tests.raft.cluster import Cluster, Envelope
from tests.raft.disks import Disk
from tests.raft.leaders_requests import append_entries


def counts_itself_before_it_has_synced(patch: pytest.MonkeyPatch) -> None:
    def sync(self: Leader) -> None:
        self.replication.stored(self._replica.log.last_index)
        self._commit()

    patch.setattr(Leader, "sync", sync)


def stores_no_vote(patch: pytest.MonkeyPatch) -> None:
    save = Storage.save_term
    patch.setattr(Storage, "save_term", lambda self, term, _: save(self, term, None))


def votes_for_anybody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Member, "_would_elect", lambda _self, _message: True)


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (counts_itself_before_it_has_synced, "P6"),
        (stores_no_vote, "P8"),
        (votes_for_anybody, "P4"),
    ],
)
def test_a_planted_defect_fails_a_test_that_does_not_look_for_it(
    plant: Callable[[pytest.MonkeyPatch], None], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def whatever_a_test_does() -> None:
        cluster = Cluster()
        cluster.elect(1)
        cluster.kill(3)
        cluster.propose(b"a", b"b")
        cluster.start(3)
        cluster.elect(3)

    with pytest.raises(AssertionError) as sound:
        whatever_a_test_does()
    assert "Violation" not in str(sound.value), "node 3, which lacks entries, is not elected"
    plant(monkeypatch)
    with pytest.raises(AssertionError, match=f"kind='{kind}'"):
        whatever_a_test_does()


def test_every_property_judges_something() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a")
    cluster.nodes[1].read_index("r")
    cluster.settle()
    assert cluster.watch.observer.checks > 100
    assert {"ReadServed", "Applied", "Progress", "Appended"} <= cluster.watch.observer.events.keys()
    assert not cluster.watch.is_over


def test_a_forged_message_ends_the_watch_and_a_repeated_one_does_not() -> None:
    cluster = Cluster()
    cluster.elect(1)
    cluster.deliver(cluster.sent[0])
    assert not cluster.watch.is_over
    cluster.deliver(Envelope(2, 3, append_entries(9, (1, 1), commit_index=1, sender=2)))
    assert cluster.watch.is_over


def test_an_exchanged_disk_is_told_as_a_loss() -> None:
    """Else the match that falls would be one of the leader's making."""
    cluster = Cluster()
    cluster.elect(1)
    cluster.propose(b"a", b"b")
    cluster.kill(3)
    cluster.disks[3] = Disk()
    cluster.start(3)
    cluster.catch_up()
    cluster.agree_on([b"a", b"b"])
    assert cluster.nodes[1].match_index(3) == cluster.nodes[1].last_index
    assert not cluster.watch.is_over
