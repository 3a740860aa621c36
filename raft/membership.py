"""Membership: the configurations that the log and the snapshot hold, and who counts in them.

A configuration takes effect when its entry is stored, not when it is committed, and the one before
is in effect again where the entry is truncated (Ongaro 2014, section 4.1). A snapshot carries the
one that was in effect at its index, so earlier ones are kept until then. Nothing else says who the
members are: they are recovered from the log and the snapshot alone.

Changes add, promote or remove one peer, so any quorum of the old configuration and any of the new
one share a voter. The functions below make the next configuration out of the present one.
"""

from collections.abc import Collection, Sequence

from raft.errors import ConfigError, MembershipError
from raft.peer import Peer, PeerRole, has_voter


class Membership:
    """All configurations from the snapshot's on, each with the index of its entry, ascending."""

    def __init__(self, index: int, peers: tuple[Peer, ...]) -> None:
        self._history = [(index, peers)]
        self._count()

    @property
    def index(self) -> int:
        """The index of the entry, or of the snapshot, that the one in effect comes from."""
        return self._history[-1][0]

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The configuration in effect: empty in a group that has not been bootstrapped."""
        return self._history[-1][1]

    @property
    def voters(self) -> frozenset[int]:
        """The ids of those who vote in it."""
        return self._voters

    @property
    def ids(self) -> frozenset[int]:
        """The ids of all its members."""
        return self._ids

    def store(self, index: int, peers: tuple[Peer, ...]) -> None:
        """Put a configuration into effect; its entry has just been stored at `index`."""
        self._history.append((index, peers))
        self._count()

    def truncate_after(self, index: int) -> bool:
        """Roll back what was stored above `index`; say whether there was something."""
        kept = [(stored, peers) for stored, peers in self._history if stored <= index]
        rolled_back = len(kept) < len(self._history)
        self._history = kept
        self._count()
        return rolled_back

    def as_of(self, index: int) -> tuple[Peer, ...]:
        """Say which configuration was in effect at `index`, the snapshot's or a later one."""
        return next(peers for stored, peers in reversed(self._history) if stored <= index)

    def ids_from(self, index: int) -> frozenset[int]:
        """Return the ids of all members of the one in effect at `index`, or of any later one."""
        later = [peers for stored, peers in self._history if stored > index]
        return frozenset(peer.id for peers in (self.as_of(index), *later) for peer in peers)

    def compact(self, index: int) -> None:
        """Forget the configurations that were no longer in effect at `index`."""
        later = [(stored, peers) for stored, peers in self._history if stored > index]
        self._history = [(index, self.as_of(index)), *later]

    def is_quorum(self, node_ids: Collection[int]) -> bool:
        """Say whether these nodes include a majority of the voters."""
        return 2 * len(self._voters.intersection(node_ids)) > len(self._voters)

    def _count(self) -> None:
        self._ids = frozenset(peer.id for peer in self.peers)
        self._voters = frozenset(peer.id for peer in self.peers if peer.role is PeerRole.VOTER)


def check_first(peers: Sequence[Peer], node_id: int) -> None:
    """Check the configuration that a new group is bootstrapped with, on one of its nodes.

    Raises:
        ConfigError: it lacks this node, or a voter, or lists a node twice.
    """
    ids = [peer.id for peer in peers]
    if node_id not in ids or len(set(ids)) < len(ids) or 0 in ids:
        raise ConfigError(f"peers must list node {node_id}, and each node once")
    if not has_voter(peers):
        raise ConfigError("peers must list at least one voter")


def with_learner(peers: tuple[Peer, ...], peer: Peer) -> tuple[Peer, ...]:
    """Add a peer, as a learner whatever its role says.

    Raises:
        MembershipError: it is a member already, or has the id that stands for nobody.
    """
    if peer.id == 0:
        raise MembershipError("no node has the id 0")
    if any(member.id == peer.id for member in peers):
        raise MembershipError(f"peer {peer.id} is a member already")
    return (*peers, Peer(peer.id, PeerRole.LEARNER, peer.address))


def with_voter(peers: tuple[Peer, ...], peer_id: int) -> tuple[Peer, ...]:
    """Make a learner a voter.

    Raises:
        MembershipError: it is no learner.
    """
    if not any(member.id == peer_id and member.role is PeerRole.LEARNER for member in peers):
        raise MembershipError(f"peer {peer_id} is no learner")
    return tuple(
        Peer(member.id, PeerRole.VOTER, member.address) if member.id == peer_id else member
        for member in peers
    )


def without(peers: tuple[Peer, ...], peer_id: int) -> tuple[Peer, ...]:
    """Remove a peer.

    Raises:
        MembershipError: it is no member, or the only voter.
    """
    rest = tuple(member for member in peers if member.id != peer_id)
    if len(rest) == len(peers):
        raise MembershipError(f"peer {peer_id} is no member")
    if not has_voter(rest):
        raise MembershipError(f"peer {peer_id} is the last voter")
    return rest
