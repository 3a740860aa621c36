"""Elections: who leads, and when to try. Pure logic; terms and votes are kept by the storage."""

import random
from enum import Enum

from raft.config import Config


class Role(Enum):
    """What a node is in its current term (Raft paper, figure 4).

    A pre-candidate asks whether it would be elected, before it enters the next term to find out
    (Ongaro 2014, section 9.6).
    """

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


class Election:
    """One node's role, the leader it knows of, its election timeout, the votes it was given.

    A timeout is drawn anew for every wait, uniformly from the configured ticks, out of a generator
    that is seeded with `Config.random_seed` and the node's identity: the same calls make the same
    elections, and nodes that share a seed do not all draw the same timeouts.
    """

    def __init__(self, config: Config) -> None:
        self.role = Role.FOLLOWER
        self.leader_id: int | None = None
        self.votes: set[int] = set()
        self._node_id = config.node_id
        self._ticks_min = config.election_timeout_ticks_min
        self._ticks_max = config.election_timeout_ticks_max
        seed = config.random_seed
        identity = None if seed is None else f"{seed}/{config.group_id}/{config.node_id}"
        self._random = random.Random(identity)
        self._ticks_left = self._draw()
        self._ticks_since_leader = 0

    @property
    def hears_leader(self) -> bool:
        """Whether there is a leader as far as this node can tell: itself, or one heard just now.

        As long as there is, no other is wanted (Ongaro 2014, section 4.2.3).
        """
        if self.role is Role.LEADER:
            return True
        return self.leader_id is not None and self._ticks_since_leader < self._ticks_min

    def tick(self) -> bool:
        """Let one tick pass; True says that it is time to campaign. A leader never does."""
        self._ticks_since_leader += 1
        if self.role is Role.LEADER:
            return False
        self._ticks_left -= 1
        return self._ticks_left <= 0

    def wait(self) -> None:
        """Wait a whole timeout from now."""
        self._ticks_left = self._draw()

    def follow(self, leader_id: int | None) -> None:
        """Become a follower: of a leader that was heard just now, or of one not known yet.

        Only a leader puts the timeout off, so one who is not elected cannot hold up who would be;
        a leader that gives up waits as long as the others do.
        """
        if leader_id is not None or self.role is Role.LEADER:
            self.wait()
        self._ticks_since_leader = 0
        self.role = Role.FOLLOWER
        self.leader_id = leader_id
        self.votes = set()

    def pre_campaign(self) -> None:
        """Become a pre-candidate who would have its own vote."""
        self._stand(Role.PRE_CANDIDATE)

    def campaign(self) -> None:
        """Become a candidate who has its own vote."""
        self._stand(Role.CANDIDATE)

    def lead(self) -> None:
        """Become the leader."""
        self.role = Role.LEADER
        self.leader_id = self._node_id

    def _stand(self, role: Role) -> None:
        self.role = role
        self.leader_id = None
        self.votes = {self._node_id}
        self.wait()

    def _draw(self) -> int:
        return self._random.randint(self._ticks_min, self._ticks_max)
