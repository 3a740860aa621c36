"""Recovering and judging what crashes left: fast where it can be, sure where it must be.

Where recovery is a function of ours, contents are recovered many in one forked process. It vouches
for all of them or for none: whatever goes wrong in it - a violation, an exception, a hang, a crash,
something left behind - it is done again with half of them at a time, and in the end with each in a
process of its own, as after a real crash; of what goes wrong only that is believed. Programs always
take that way.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Final, Self

from durability.audit.judgement import (
    Judgement,
    Outcome,
    audit_before,
    judge,
    judge_outcome,
)
from durability.audit.promises import Promises
from durability.campaign.batch import (
    Case,
    Files,
    recover_in_memory,
    recovers_in_memory,
    told,
    vouch,
    vouched,
    without_items,
)
from durability.campaign.known_recoveries import KnownRecoveries
from durability.campaign.places import Scratch, require_room
from durability.crash.content import Content
from durability.errors import DurabilityError
from durability.recovery import process
from durability.recovery.recovery import recover
from durability.targets.contract import Call, Target

_HALVED_MIN: Final = 8
"""So few contents are not worth another attempt at all of them together."""


class Bench:
    """A place to recover in, of one target; a context manager that removes what was left there.

    `pruned` counts the judgements for which nothing was recovered.
    """

    def __init__(self, target: Target, parent: str, known: KnownRecoveries | None = None) -> None:
        """Make it below the directory `parent`; contents that are `known` are not recovered."""
        self.pruned = 0
        self._target = target
        self._parent = parent
        self._known = known
        self._last: tuple[Outcome, Promises, Judgement] | None = None
        self._scratch = Scratch(parent)
        self._directory = os.path.join(self._scratch.path, "data")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._scratch.remove()

    def judge_all(self, cases: Sequence[Case]) -> list[Judgement]:
        """Recover each content once; return the judgements against each of its promises.

        Where the audit is what recovers, a content is recovered for each of them: it changes it.
        """
        if self._target.speech.recovered is None:
            cases = [(content, [promised]) for content, heard in cases for promised in heard]
        found = [self._judge_known(case) for case in cases]
        unknown = [case for case, judged in zip(cases, found, strict=True) if judged is None]
        judgements = self._recover_all(unknown)
        return [
            judgement
            for (_, promises), judged in zip(cases, found, strict=True)
            for judgement in (islice(judgements, len(promises)) if judged is None else judged)
        ]

    def _judge_known(self, case: Case) -> list[Judgement] | None:
        """Judge a case without recovering it; None where that cannot be, or shows anything."""
        content, promises = case
        if self._known is None or not self._is_in_memory(case):
            return None
        outcome = self._known.outcome(_files(content))
        if outcome is None:
            return None
        judged = [self._judge_outcome(outcome, promised) for promised in promises]
        if not all(judgement.is_clean for judgement in judged):
            return None
        self.pruned += len(judged)
        return judged

    def _recover_all(self, cases: Sequence[Case]) -> Iterator[Judgement]:
        """Yield the judgements: of all cases together if they are clean, or of ever fewer."""
        if self._target.recovers_by_call and cases:
            judgements, has_hung = self._recover_together(cases)
            if judgements is not None:
                yield from judgements
                return
            if not has_hung and len(cases) > _HALVED_MIN:
                middle = len(cases) // 2
                yield from self._recover_all(cases[:middle])
                yield from self._recover_all(cases[middle:])
                return
        for content, promises in cases:
            yield from self.judge_alone(content, promises)

    def _recover_together(self, cases: Sequence[Case]) -> tuple[list[Judgement] | None, bool]:
        """Return the judgements, None unless all are clean; and whether it may have hung."""
        in_memory = all(map(self._is_in_memory, cases))
        contents = [_files(content) for content, _ in cases] if in_memory else []
        work = (
            partial(recover_in_memory, self._target, contents)
            if in_memory
            else partial(vouch, self._target, self._directory, cases)
        )
        ended = process.run(Call(work), timeout_s=self._target.recovery_timeout_s * len(cases))
        shutil.rmtree(self._directory, ignore_errors=True)
        if ended.exit_status != 0 or not ended.stdout:
            # One that ended by a signal may have hung, and would do so in each half.
            return None, ended.exit_status is None
        if not in_memory:
            return list(vouched(ended.stdout)), False
        found = list(told(ended.stdout))
        judgements = [
            self._judge_outcome(outcome, promised)
            for (outcome, _), (_, promises) in zip(found, cases, strict=True)
            for promised in promises
        ]
        if not all(judgement.is_clean for judgement in judgements):
            return None, False
        if self._known is not None:
            for files, (outcome, questions) in zip(contents, found, strict=True):
                self._known.learn(files, questions, outcome)
        return judgements, False

    def _is_in_memory(self, case: Case) -> bool:
        return recovers_in_memory(self._target) and case[0].is_flat

    def _judge_outcome(self, outcome: Outcome, promised: Promises) -> Judgement:
        # Neighbouring states mostly recover to the same, and need not be judged again.
        if self._last is None or self._last[0] is not outcome or self._last[1] is not promised:
            judgement = without_items(judge_outcome(self._target, promised, outcome))
            self._last = outcome, promised, judgement
        return self._last[2]

    def judge(self, content: Content, promises: Sequence[Promises]) -> list[Judgement]:
        """Recover a content in a process of its own; return the judgement against each promise.

        Raises InconclusiveError where the disk is full, OSError where it fails.
        """
        directory = self._directory
        require_room(self._parent)
        os.mkdir(directory, 0o700)
        try:
            content.write_to(os.fsencode(directory))
            before = audit_before(self._target, directory)
            recovery = recover(self._target, directory)
            judgements = [
                judge(self._target, promised, directory, before, recovery) for promised in promises
            ]
            for judgement in judgements:
                if judgement.violations:
                    require_room(self._parent, judgement.violations)
        finally:
            shutil.rmtree(directory)
        return judgements

    def judge_alone(self, content: Content, promises: Sequence[Promises]) -> list[Judgement]:
        """Do so, where what goes wrong with the harness or the machine is this content's alone."""
        try:
            return self.judge(content, promises)
        except (DurabilityError, OSError) as error:
            fault = Judgement(0, 0, [], [], [str(error)], [])
            return [fault] * len(promises)


def _files(content: Content) -> Files:
    return {os.fsdecode(path): data for path, data in content.files.items()}
