"""What the clients of a simulated cluster do: commands in sessions, sent again now and then; reads.

Values are numbers that rise, so that no two writes are alike. Most requests go to who takes itself
for the leader, as a client that has found it would send them; there may be several. The others show
what everyone else does with them.
"""

import random
from collections.abc import Iterator

from durability.simulation.action import Action, Propose, Read
from durability.simulation.cluster import Cluster
from durability.simulation.options import Options
from raft.examples.kv import CompareAndSwap, Delete, Write, encode_command
from raft.sessions import encode_command as encode_in_session
from raft.sessions import encode_open

_KEYS = (b"x", b"y", b"z")
_SESSIONS_MAX = 4
_REMEMBERED_COMMANDS = 4


class Workload:
    """Draws the requests of each tick."""

    def __init__(self, options: Options, seed: int) -> None:
        self._options = options
        self._random = random.Random(f"workload/{seed}")
        self._sequence = 0
        self._sent: list[bytes] = []

    def draw(self, cluster: Cluster) -> Iterator[Action]:
        """Draw the requests of one tick."""
        draw = self._random.random
        if draw() < self._options.proposal_rate:
            for _ in range(self._random.choice((1, 1, 1, 4))):
                yield Propose(self._draw_node(cluster), self.draw_command(cluster))
        if draw() < self._options.read_rate:
            yield Read(self._draw_node(cluster))

    def draw_command(self, cluster: Cluster) -> bytes:
        """Draw a command of a session: a new one, or one that was sent before."""
        sessions = cluster.session_ids[-_SESSIONS_MAX:]
        if not sessions or (len(sessions) < _SESSIONS_MAX and self._random.random() < 0.1):
            return encode_open()
        if self._sent and self._random.random() < 0.1:
            return self._random.choice(self._sent)
        # One numbering for all sessions: in each of them the numbers rise.
        self._sequence += 1
        command = encode_in_session(
            self._random.choice(sessions), self._sequence, self._draw_inner_command()
        )
        self._sent = [*self._sent, command][-_REMEMBERED_COMMANDS:]
        return command

    def _draw_inner_command(self) -> bytes:
        key = self._random.choice(_KEYS)
        value = b"%d" % self._sequence
        kind = self._random.random()
        if kind < 0.7:
            return encode_command(Write(key, value))
        if kind < 0.9:
            expected = self._random.choice((None, b"%d" % (self._sequence - 1)))
            return encode_command(CompareAndSwap(key, expected, value))
        return encode_command(Delete(key))

    def _draw_node(self, cluster: Cluster) -> int:
        leaders = cluster.leaders()
        if leaders and self._random.random() < 0.9:
            return self._random.choice(leaders).node_id
        return self._random.choice(list(cluster.members))
