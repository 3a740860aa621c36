"""Elections: who leads, and when to try. Pure logic; terms and votes are kept by the storage."""

import random
from enum import Enum

from raft.config import Config


class Role(Enum):
    """What a node is in its current term (Raft paper, figure 4)."""

    FOLLOWER = "follower"
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

    def tick(self) -> bool:
        """Let one tick pass; True says that it is time to campaign. A leader never does."""
        if self.role is Role.LEADER:
            return False
        self._ticks_left -= 1
        return self._ticks_left <= 0

    def campaign(self) -> None:
        """Become a candidate who has its own vote."""
        self.role = Role.CANDIDATE
        self.leader_id = None
        self.votes = {self._node_id}
        self._ticks_left = self._draw()

    def lead(self) -> None:
        """Become the leader."""
        self.role = Role.LEADER
        self.leader_id = self._node_id

    def _draw(self) -> int:
        return self._random.randint(self._ticks_min, self._ticks_max)
