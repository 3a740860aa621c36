"""Membership: the configurations that the log and the snapshot hold, and who counts in them.

A configuration takes effect when its entry is stored, not when it is committed (Raft paper, section
6); a snapshot carries the one that was in effect at its index, so earlier ones are kept until then.
"""

from collections.abc import Collection

from raft.peer import Peer, PeerRole


class Membership:
    """All configurations from the snapshot's on, each with the index of its entry, ascending."""

    def __init__(self, index: int, peers: tuple[Peer, ...]) -> None:
        self._history = [(index, peers)]
        self._set_voters()

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The configuration in effect: empty in a group that has not been bootstrapped."""
        return self._history[-1][1]

    @property
    def voters(self) -> frozenset[int]:
        """The ids of those who vote in it."""
        return self._voters

    def store(self, index: int, peers: tuple[Peer, ...]) -> None:
        """Put a configuration into effect; its entry has just been stored at `index`."""
        self._history.append((index, peers))
        self._set_voters()

    def as_of(self, index: int) -> tuple[Peer, ...]:
        """Say which configuration was in effect at `index`, the snapshot's or a later one."""
        return next(peers for stored, peers in reversed(self._history) if stored <= index)

    def compact(self, index: int) -> None:
        """Forget the configurations that were no longer in effect at `index`."""
        later = [(stored, peers) for stored, peers in self._history if stored > index]
        self._history = [(index, self.as_of(index)), *later]

    def is_quorum(self, node_ids: Collection[int]) -> bool:
        """Say whether these nodes include a majority of the voters."""
        return 2 * len(self._voters.intersection(node_ids)) > len(self._voters)

    def _set_voters(self) -> None:
        self._voters = frozenset(peer.id for peer in self.peers if peer.role is PeerRole.VOTER)
