"""Recovering and judging what crashes left: fast where it can be, sure where it must be.

Where recovery is a function of ours, contents are recovered many in one forked process. It vouches
for all of them or for none: whatever goes wrong in it - a violation, an exception, a hang, a crash,
something left behind - it is done again with half of them at a time, and in the end with each in a
process of its own, as after a real crash; of what goes wrong only that is believed. Programs always
take that way.
"""

import os
import shutil
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from durability.audit.judgement import Judgement, audit_before, judge
from durability.audit.promises import Promises
from durability.campaign.batch import Case, vouch, vouched
from durability.campaign.places import Scratch, require_room
from durability.crash.content import Content
from durability.errors import DurabilityError
from durability.recovery import process
from durability.recovery.recovery import recover
from durability.targets.contract import Call, Target

_HALVED_MIN: Final = 8
"""So few contents are not worth another attempt at all of them together."""


class Bench:
    """A place to recover in, of one target; a context manager that removes what was left there."""

    def __init__(self, target: Target, parent: str) -> None:
        """Make it below the directory `parent`."""
        self._target = target
        self._parent = parent
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
        if self._target.recovers_by_call:
            ended = self._vouch(cases)
            if ended.exit_status == 0 and ended.stdout:
                return list(vouched(ended.stdout))
            # One that ended by a signal may have hung, and would do so in each half.
            if ended.exit_status is not None and len(cases) > _HALVED_MIN:
                middle = len(cases) // 2
                return self.judge_all(cases[:middle]) + self.judge_all(cases[middle:])
        return [
            judgement
            for content, promises in cases
            for judgement in self.judge_alone(content, promises)
        ]

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

    def _vouch(self, cases: Sequence[Case]) -> process.Ended:
        timeout_s = self._target.recovery_timeout_s * len(cases)
        work = partial(vouch, self._target, self._directory, cases)
        ended = process.run(Call(work), timeout_s=timeout_s)
        shutil.rmtree(self._directory, ignore_errors=True)
        return ended
