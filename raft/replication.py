"""Replication: how far the leader knows the log to be stored on whom. Pure logic.

Towards each peer a leader is in one of three states:

    probing       it does not know where the peer's log agrees with its own: one AppendEntries at a
                  time, and `next_index` goes back with each rejection
    streaming     it does: up to `max_appends_in_flight` are sent without waiting for an answer, and
                  `next_index` runs ahead of `match_index`; a rejection says that one was lost
    transferring  the peer needs entries that the log has no more: it is sent a snapshot
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

from raft.snapshot_transfer import OutgoingSnapshot


@dataclass(slots=True)
class Progress:
    """What a leader knows of one peer.

    `match_index` is the last entry that the peer is known to hold, durably and as the leader does,
    and `match_round` the round in which that was learnt (`raft.read_index`): an answer of a later
    round is of a later state. `next_index` is the first entry to send. `is_active` says whether it
    was heard of since the leader last looked whether a quorum is there.
    """

    next_index: int
    match_index: int = 0
    match_round: int = 0
    is_active: bool = False
    is_probing: bool = True
    is_probe_sent: bool = False
    transfer: OutgoingSnapshot | None = None
    in_flight: deque[int] = field(default_factory=deque)  # the last index of each AppendEntries

    def may_send(self, max_in_flight: int) -> bool:
        """Say whether entries may be sent now."""
        if self.transfer is not None:
            return False
        if self.is_probing:
            return not self.is_probe_sent
        return len(self.in_flight) < max_in_flight

    def sent(self, last_index: int) -> None:
        """Note that the entries up to `last_index` have been sent."""
        if self.is_probing:
            self.is_probe_sent = True
        else:
            self.in_flight.append(last_index)
            self.next_index = last_index + 1

    def acknowledge(self, index: int, round_number: int) -> None:
        """Note, in a round, that the peer holds all up to `index`; it is streamed to now."""
        if self.transfer is not None:
            if index < self.transfer.index:
                return
            self.end_transfer()
        if index > self.match_index:
            self.match_index = index
            self.match_round = round_number
        self.next_index = max(self.next_index, self.match_index + 1)
        self.is_probing = self.is_probe_sent = False
        while self.in_flight and self.in_flight[0] <= self.match_index:
            self.in_flight.popleft()

    def reject(self, index: int, hint: int, round_number: int) -> None:
        """Go back, since the peer's log does not agree at `index`, to where it may: at `hint`.

        That is not below what it holds, unless it has lost that since: who refuses, in a later
        round, what it had acknowledged counts no more. A rejection that comes late, or twice, is of
        another index than the one that is probed, and changes nothing: to probe anew for each would
        multiply what is sent. raft.cr's nodes say 0 for the index, which may be any.
        """
        if self.transfer is not None:
            return
        if 0 < index <= self.match_index:
            if round_number <= self.match_round:
                return
            self.match_index = 0
        elif self.is_probing and index not in (0, self.next_index - 1):
            return
        limit = self.next_index - 1 if self.is_probing else self.next_index
        self.probe(max(self.match_index + 1, min(hint + 1, limit)))

    def probe(self, next_index: int) -> None:
        """Begin anew at `next_index`, one AppendEntries at a time."""
        self.next_index = next_index
        self.is_probing = True
        self.is_probe_sent = False
        self.in_flight.clear()

    def end_transfer(self) -> None:
        """Send no more of the snapshot, if one is being sent."""
        if self.transfer is not None:
            self.transfer.close()
            self.transfer = None


class Replication:
    """A leader's knowledge in one term: the `Progress` of each peer, and how far it is itself."""

    def __init__(self, node_id: int) -> None:
        self._node_id = node_id
        self._durable_index = 0
        self.peers: dict[int, Progress] = {}

    def track(self, peer_ids: Collection[int], next_index: int) -> None:
        """Begin to replicate to those peers that are new, at `next_index`."""
        for peer_id in sorted(peer_ids):
            if peer_id != self._node_id and peer_id not in self.peers:
                self.peers[peer_id] = Progress(next_index)

    def forget_all_but(self, peer_ids: Collection[int]) -> None:
        """Replicate no more to those who are not members."""
        for peer_id in self.peers.keys() - set(peer_ids):
            self.peers.pop(peer_id).end_transfer()

    def stored(self, index: int) -> None:
        """Note that the leader itself holds every entry up to `index`, durably."""
        self._durable_index = index

    def match_index(self, node_id: int) -> int:
        """Say up to where a node is known to hold the log; 0 where nothing is known of it."""
        if node_id == self._node_id:
            return self._durable_index
        progress = self.peers.get(node_id)
        return progress.match_index if progress else 0

    def quorum_index(self, voters: Collection[int]) -> int:
        """Say up to which index a majority of `voters`, at least one, has stored the log."""
        matches = sorted(map(self.match_index, voters), reverse=True)
        return matches[len(matches) // 2]

    def take_active(self) -> set[int]:
        """Say who was heard of since the last call, the leader itself included."""
        active = {peer_id for peer_id, progress in self.peers.items() if progress.is_active}
        for progress in self.peers.values():
            progress.is_active = False
        return active | {self._node_id}
