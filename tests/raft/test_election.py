from raft.config import Config
from raft.election import Election, Role

CONFIG = Config(
    node_id=3, random_seed=1, election_timeout_ticks_min=5, election_timeout_ticks_max=9
)


def wait(election: Election) -> int:
    ticks = 1
    while not election.tick():
        ticks += 1
    return ticks


def test_every_timeout_in_the_range_is_drawn_and_none_outside() -> None:
    election = Election(CONFIG)
    drawn = set()
    for _ in range(200):
        drawn.add(wait(election))
        election.campaign()
    assert drawn == {5, 6, 7, 8, 9}


def test_an_elapsed_timeout_stays_so_until_something_is_done_about_it() -> None:
    election = Election(CONFIG)
    wait(election)
    assert election.tick()


def test_a_candidate_has_its_own_vote_and_knows_no_leader() -> None:
    election = Election(CONFIG)
    assert (election.role, election.leader_id, election.votes) == (Role.FOLLOWER, None, set())
    election.campaign()
    assert (election.role, election.leader_id, election.votes) == (Role.CANDIDATE, None, {3})


def test_a_leader_never_campaigns() -> None:
    election = Election(CONFIG)
    election.campaign()
    election.lead()
    assert (election.role, election.leader_id) == (Role.LEADER, 3)
    assert not any(election.tick() for _ in range(100))


def test_nodes_of_one_seed_draw_timeouts_of_their_own() -> None:
    def draw(node_id: int) -> list[int]:
        election = Election(Config(node_id=node_id, random_seed=1))
        waits = []
        for _ in range(30):
            waits.append(wait(election))
            election.campaign()
        return waits

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
