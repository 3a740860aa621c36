"""Reads that need no entry in the log: a leader asks whether it still leads (Ongaro 2014, 6.4).

A read may be answered at the leader's commit index as of when it was asked for, once a quorum has
said, after that, that it still follows. What ties an answer to the question is the round: every
AppendEntries carries the current one, its response echoes it, and each heartbeat begins the next.
Rounds only rise within a term, and responses of other terms are dropped before they come here, so
an answer that was delayed or comes twice never counts for a read that was asked for later. A peer
that does not echo, with 0, never counts.

Pure logic. One batch of reads is asked for at a time; those that come meanwhile share the next.
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
        self._asked_round = 0
        self._waiting: list[Read] = []
        self._echoes: dict[int, int] = {}

    def begin_round(self) -> None:
        """Begin the next round: whatever is sent from now on belongs to it."""
        self.round += 1

    def ask(self, read: Read) -> bool:
        """Take a read in; True says that it is for the next round, which is to begin now."""
        if self._asking:
            self._waiting.append(read)
            return False
        self._ask([read])
        return True

    def acknowledge(self, peer_id: int, round_number: int) -> None:
        """Note the round that a peer echoes. One that has not begun yet is nonsense."""
        if self._echoes.get(peer_id, 0) < round_number <= self.round:
            self._echoes[peer_id] = round_number

    def answered(self, is_quorum: Callable[[Collection[int]], bool]) -> list[Read]:
        """Hand over the reads that were asked for, if a quorum has answered.

        Those that have come meanwhile are for the next round then: `is_asking` says so.
        """
        agreed = {peer_id for peer_id, echo in self._echoes.items() if echo >= self._asked_round}
        if not self._asking or not is_quorum({self._node_id, *agreed}):
            return []
        done, self._asking = self._asking, []
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._ask(waiting)
        return done

    @property
    def is_asking(self) -> bool:
        """Whether an answer is waited for."""
        return bool(self._asking)

    def abort(self) -> list[Read]:
        """Hand over every read that was not answered."""
        return self._asking + self._waiting

    def _ask(self, reads: list[Read]) -> None:
        self._asking = reads
        self._asked_round = self.round + 1
