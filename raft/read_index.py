"""Reads that need no entry in the log: a leader asks whether it still leads (Ongaro 2014, 6.4).

A read may be answered at the leader's commit index as of when it was asked for, once a quorum has
said, after that, that it still follows. What ties an answer to the question is the round: every
AppendEntries carries the current one, and its response echoes it. Rounds only rise within a term,
and a leader's responses of other terms are dropped before they come here, so an answer that was
delayed or comes twice never counts for a read that was asked for later. A peer that does not echo,
with 0, never counts.

Pure logic. At most one round is under way; reads asked for meanwhile share the next.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Read:
    """A read that was asked for: the caller's context, and the commit index of that moment."""

    context: object
    index: int


class ReadIndex:
    """One leader's reads, in one term."""

    def __init__(self, node_id: int) -> None:
        self.round = 1
        self._node_id = node_id
        self._asking: list[Read] = []
        self._waiting: list[Read] = []
        self._echoes: dict[int, int] = {}

    def ask(self, read: Read) -> bool:
        """Take a read in; True says that a round has begun, which is to be sent to the peers."""
        if self._asking:
            self._waiting.append(read)
            return False
        self._begin([read])
        return True

    def acknowledge(self, peer_id: int, round_number: int) -> None:
        """Note the round that a peer echoes. One that has not begun yet is nonsense."""
        if self._echoes.get(peer_id, 0) < round_number <= self.round:
            self._echoes[peer_id] = round_number

    def answered(self, is_quorum: Callable[[Collection[int]], bool]) -> list[Read]:
        """Hand over the reads of the current round if a quorum has answered it.

        The next round begins then, if there are reads for it: `is_asking` says so.
        """
        agreed = {peer_id for peer_id, echo in self._echoes.items() if echo == self.round}
        if not self._asking or not is_quorum({self._node_id, *agreed}):
            return []
        done, self._asking = self._asking, []
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._begin(waiting)
        return done

    @property
    def is_asking(self) -> bool:
        """Whether a round is under way."""
        return bool(self._asking)

    def abort(self) -> list[Read]:
        """Hand over every read that was not answered."""
        return self._asking + self._waiting

    def _begin(self, reads: list[Read]) -> None:
        self.round += 1
        self._asking = reads
