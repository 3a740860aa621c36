"""What recovery makes of contents that it was never given: known from others that looked the same.

A recovery, with the audits before and behind it, is deterministic: what it asks of its directory
next follows from the answers so far. So the contents that were recovered make a decision tree. Its
inner nodes are questions, its branches answers, and at each leaf stands an outcome. A content that
leads to a leaf need not be recovered: whatever it has that no question on its way asks for - what
is in a temporary that is removed unread, say - nobody would have looked at.

That recovery is deterministic is not taken on trust: a node at which another question is asked, or
a leaf with another outcome, says that it is not, and now and then a content that is known is
recovered all the same.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from durability.audit.judgement import Outcome
from durability.recovery.asking import Question

_LEAVES_MAX: Final = 1 << 17
"""So many are remembered: what is new then is recovered, and forgotten."""

_CHECKED_EVERY: Final = 64
"""Of so many known contents one is recovered all the same."""

_CONTRADICTION: Final = (
    "recovery does not do the same when what it reads is the same, so that one state cannot stand"
    " for others: --no-pruning recovers each"
)


class _Node:
    """What is asked once all answers so far are given; or how it ends."""

    __slots__ = ("answers", "outcome", "question")

    def __init__(self) -> None:
        self.question: Question | None = None
        self.answers: dict[bytes, _Node] = {}
        self.outcome: Outcome | None = None


class KnownRecoveries:
    """The decision tree of one target's recovery.

    `contradiction` says that its recovery has been seen not to be deterministic: empty else.
    """

    def __init__(self) -> None:
        self.contradiction = ""
        self._by_names: dict[frozenset[str], _Node] = {}
        self._leaves = 0
        self._found = 0

    def outcome(self, files: Mapping[str, bytes]) -> Outcome | None:
        """Return what comes of these files; None where they are to be recovered."""
        node = self._by_names.get(frozenset(files))
        while node is not None and node.question is not None:
            node = node.answers.get(node.question.answer(files))
        if node is None or self.contradiction:
            return None
        self._found += 1
        return None if self._found % _CHECKED_EVERY == 0 else node.outcome

    def learn(
        self, files: Mapping[str, bytes], questions: Sequence[Question], outcome: Outcome
    ) -> None:
        """Take what was asked about these files, in order, and what came of them."""
        if self._leaves == _LEAVES_MAX:
            return
        node = self._by_names.setdefault(frozenset(files), _Node())
        for question in questions:
            if node.outcome is not None or node.question not in {None, question}:
                self.contradiction = _CONTRADICTION
                return
            node.question = question
            node = node.answers.setdefault(question.answer(files), _Node())
        if node.question is not None or node.outcome not in (None, outcome):
            self.contradiction = _CONTRADICTION
        elif node.outcome is None:
            node.outcome = outcome
            self._leaves += 1
