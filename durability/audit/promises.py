"""What has been promised by some moment: about items, and by a Raft node about itself.

A run may be one of several on the same directory, each killed and started again. Between two of
them stands what recovery showed of the first: the second goes on from there.
"""

from collections.abc import Container, Iterable
from typing import Literal

import msgspec

from durability.audit.ledger import Ledger
from durability.audit.raft_promises import RaftPromises, accepted, proposed
from durability.targets.contract import Target, item_in


class Heard(msgspec.Struct, frozen=True):
    """Lines of one kind, in the order in which they were heard.

    `of` a `run`: what the workload printed. Of a `recovery`: what one printed that was itself ended
    by a crash; it promises the items that it showed, and what the node under test says of itself,
    announces what it proposes, behind what it showed, and promises what it accepts. `items`: the
    ids, not lines, that an undisturbed recovery of what the run left showed.
    """

    of: Literal["run", "recovery", "items"]
    lines: list[str]


class Promises:
    """The promises that were heard; `ledger` those about items, `raft` those beyond them."""

    def __init__(self, target: Target, later: Container[str] = ()) -> None:
        """Begin with none; `later` as for `Ledger`."""
        self.ledger = Ledger(target.speech, later)
        self.raft = RaftPromises()
        self._proposes = target.data == "raft"
        self._shown: list[str] = []

    @classmethod
    def of(cls, target: Target, heard: Iterable[Heard], later: Container[str] = ()) -> "Promises":
        """Return what all of this promised."""
        promises = cls(target, later)
        for part in heard:
            promises.hear(part)
        return promises

    def hear(self, heard: Heard) -> None:
        """Take in what was printed or shown next."""
        match heard.of:
            case "run":
                for line in heard.lines:
                    self.ledger.hear(line)
                    self.raft.hear(line)
            case "items":
                self.ledger.go_on_from(heard.lines)
                self._shown.clear()
            case "recovery":
                for line in heard.lines:
                    self._hear_recovery(line)

    def _hear_recovery(self, line: str) -> None:
        self.raft.hear_recovery(line)
        shown = item_in(line, self.ledger.speech.recovered)
        if self._proposes:
            shown = shown or accepted(line)
            item = proposed(line)
            if item is not None:
                # Only now is it settled what is there from before.
                self.ledger.go_on_from(self._shown)
                self.ledger.announce(item)
        if shown is not None:
            self._shown.append(shown)
            self.ledger.show(self._shown)
