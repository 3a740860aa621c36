"""What a target promised about items, and whether a recovery kept it.

An acknowledgement counts once its whole line was heard; a partial line promises nothing and is
not given to `Ledger.hear`. Items are compared as text. An item that was acknowledged before it was
announced makes the announcements useless as a bound of what may be there. That is no violation but
a fault of the description or of the client: the run is at best inconclusive (`Ledger.faults`), and
only what was acknowledged is judged.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from durability.audit.guarantees import breach
from durability.audit.violation import Violation
from durability.targets.contract import Order, Speech, item_in

_ITEMS_SHOWN: Final = 5


class Ledger:
    """Announced and acknowledged items of one run, in the order in which they were heard.

    `later` are the items that a run without a kill announces: recovered before that, they are not
    invented but announced too late. `announced` and `acknowledged` may be read; each judgement
    costs time linear in the items.
    """

    def __init__(self, speech: Speech, later: Container[str] = ()) -> None:
        self.speech = speech
        self._later = later
        self.announced: list[str] = []
        self.acknowledged: list[str] = []
        self._unannounced: list[str] = []
        self._open: Counter[str] = Counter()  # announced more often than acknowledged

    def hear(self, line: str) -> None:
        """Take one complete line of the workload; most lines of most programs are neither."""
        speech = self.speech
        announced = item_in(line, speech.announced)
        if announced is not None:
            self.announce(announced)
        acknowledged = item_in(line, speech.acknowledged)
        if acknowledged is not None:
            self.acknowledged.append(acknowledged)
            if self._open[acknowledged] > 0:
                self._open[acknowledged] -= 1
            elif speech.announced is not None:
                self._unannounced.append(acknowledged)

    def go_on_from(self, recovered: Sequence[str]) -> None:
        """Take what a recovery showed as what comes first from here on.

        Announced items that it did not show are gone for good, and may be announced again.
        Acknowledgements stand: that what was acknowledged is among the items, `judge` has said.
        """
        self.announced = list(recovered)
        self._open.clear()

    def show(self, items: Iterable[str]) -> None:
        """Take all that a recovery has shown, on which one may rely as if it was acknowledged."""
        self.acknowledged += _split(items, Counter(self.acknowledged))[1]

    def announce(self, item: str) -> None:
        """Take an item that may be there from here on."""
        self.announced.append(item)
        self._open[item] += 1

    def faults(self, recovered: Iterable[str]) -> list[str]:
        """Return why this run cannot be called held: the target was not understood."""
        found: list[str] = []
        if self._unannounced:
            found.append(
                f"{_some(self._unannounced)} acknowledged before being announced: the patterns for"
                " announcements and acknowledgements do not fit what the program prints"
            )
        late = self._late(recovered)
        if late:
            found.append(
                "items were recovered that the program had not announced yet: an announcement must"
                " be printed, and flushed, before the item is written"
            )
        return found

    def _late(self, recovered: Iterable[str]) -> list[str]:
        """Return the items recovered before their announcement."""
        if not self._announcing:
            return []
        surplus = _split(recovered, Counter(self.announced))[1]
        silent = not self.announced and not self.acknowledged
        return [item for item in surplus if silent or item in self._later]

    @property
    def notes(self) -> list[str]:
        """What was not judged."""
        return [] if self._announcing else ["invented items not checked"]

    @property
    def _announcing(self) -> bool:
        return self.speech.announced is not None and not self._unannounced

    def lost(self, recovered: Iterable[str], order: Order = "exact") -> list[str]:
        """Return the acknowledged items that are missing, in the order of their acknowledgement.

        With order "exact" an item acknowledged twice must be there twice; a set holds it once.
        """
        if order == "set":
            there = frozenset(recovered)
            return [item for item in dict.fromkeys(self.acknowledged) if item not in there]
        return _split(self.acknowledged, Counter(recovered))[1]

    def judge(self, recovered: Sequence[str], order: Order = "exact") -> list[Violation]:
        """Return what a recovery broke, at most one violation of each kind.

        An item that is missing is `lost`, not also a wrong order of those behind it; likewise one
        that is `invented` or `duplicated`. `order` is what remains wrong without all of these.
        """
        violations: list[Violation] = []
        lost = self.lost(recovered, order)
        if lost:
            violations.append(
                breach(
                    "lost",
                    f"{_some(lost)} of {len(self.acknowledged)} acknowledged missing, "
                    f"{len(recovered)} recovered",
                )
            )
        expected: Sequence[str] = self.acknowledged
        genuine = recovered
        if self._announcing:
            expected = self.announced
            allowed = Counter(self.announced)
            genuine, surplus = _split(recovered, allowed)
            late = frozenset(self._late(recovered))
            invented = [item for item in surplus if item not in allowed and item not in late]
            if invented:
                violations.append(breach("invented", f"{_some(invented)} never announced"))
        elif order == "set":
            allowed = Counter(dict.fromkeys(recovered, 1)) | Counter(self.acknowledged)
            surplus = _split(recovered, allowed)[1]
        else:
            allowed, surplus = Counter(), []
        duplicated = [item for item in surplus if item in allowed]
        if duplicated:
            violations.append(breach("duplicated", f"{_some(duplicated)} recovered too often"))
        if order == "exact":
            violations += _judge_order(genuine, expected, Counter(lost))
        return violations


def _judge_order(
    recovered: Sequence[str], expected: Sequence[str], lost: Counter[str]
) -> list[Violation]:
    """Walk both in step, passing over what is known to be lost; they may differ in length only."""
    position = 0
    for item in expected:
        if position == len(recovered):
            break
        if recovered[position] == item:
            position += 1
        elif lost[item] > 0:
            lost[item] -= 1
        else:
            return [
                breach(
                    "order",
                    f"item {position + 1} of those recovered is {recovered[position]}, where"
                    f" {item} comes next",
                )
            ]
    return []


def _split(items: Iterable[str], allowed: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """Return the items that are allowed that often, and those beyond, both in their order."""
    left = Counter(allowed)
    within: list[str] = []
    beyond: list[str] = []
    for item in items:
        if left[item] > 0:
            left[item] -= 1
            within.append(item)
        else:
            beyond.append(item)
    return within, beyond


def _some(items: Sequence[str]) -> str:
    """Return how many items there are, and the first few."""
    shown = ", ".join(islice(items, _ITEMS_SHOWN))
    more = ", ..." if len(items) > _ITEMS_SHOWN else ""
    noun = "item" if len(items) == 1 else "items"
    return f"{len(items)} {noun} ({shown}{more})"
