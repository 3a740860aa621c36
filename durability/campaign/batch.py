"""Recovering and judging contents one after another in one process, which was forked for that.

It vouches for all of them or for none: on the first that is anything but clean it raises, since
what has gone wrong in a shared process may be the fault of what ran there before.
"""

import gc
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby, repeat

import msgspec

from durability.audit.data_directory import DirectoryInMemory
from durability.audit.judgement import Judgement, audit_before, judge
from durability.audit.promises import Promises
from durability.audit.recovered import DirectoryAudit
from durability.crash.content import Content
from durability.errors import InconclusiveError
from durability.recovery.in_process import Recoveries
from durability.recovery.memory import MemoryFilesystem
from durability.recovery.recovery import Recovery
from durability.targets.contract import Call, Target

Case = tuple[Content, Sequence[Promises]]
"""What is on disk, and each of the promises that it is to be judged against."""


class UncertainError(InconclusiveError):
    """A recovery in a shared process broke a promise, or seems to have."""


def vouch(target: Target, directory: str, cases: Iterable[Case]) -> None:
    """Print the judgements, one for each of the promises in their order, as `vouched` reads them.

    To be called in a process of its own. A case is recovered in memory where the target can do
    that, else in `directory`, which does not exist. Raises whatever a recovery raises, and
    UncertainError or LeftBehindError where one was not clean.
    """
    gc.disable()  # it ends soon; and looking for garbage would copy all that was inherited
    recoveries = Recoveries(target)
    batch = _Batch(target, directory, recoveries)
    judgements = (judgement for case in cases for judgement in batch.judge(*case))
    runs = [(len(list(run)), judgement) for judgement, run in groupby(judgements)]
    recoveries.check_nothing_is_left()
    with open(recoveries.stdout, "wb") as stdout:
        stdout.write(msgspec.msgpack.encode(runs))


def vouched(printed: bytes) -> Iterator[Judgement]:
    """Return what `vouch` has printed."""
    for count, judgement in msgspec.msgpack.decode(printed, type=list[tuple[int, Judgement]]):
        yield from repeat(judgement, count)


class _Outcome(msgspec.Struct, frozen=True):
    """All that a judgement in memory depends on beside the promises."""

    before: DirectoryAudit | None
    recovery: Recovery
    after: dict[str, bytes]


class _Batch:
    def __init__(self, target: Target, directory: str, recoveries: Recoveries) -> None:
        self._target = target
        self._directory = directory
        self._recoveries = recoveries
        self._last: tuple[_Outcome, Promises, Judgement] | None = None

    def judge(self, content: Content, promises: Sequence[Promises]) -> Iterator[Judgement]:
        """Recover a content once, and yield the judgement against each of the promises."""
        if self._target.recover_in_memory and not self._target.audit and content.is_flat:
            return self._judge_in_memory(content, promises)
        return self._judge_on_disk(content, promises)

    def _judge_in_memory(
        self, content: Content, promises: Sequence[Promises]
    ) -> Iterator[Judgement]:
        recover = self._target.recover_in_memory
        assert recover is not None
        files = {os.fsdecode(path): data for path, data in content.files.items()}
        before = audit_before(self._target, DirectoryInMemory("memory", files))
        if before is not None:
            before.notes.clear()
        filesystem = MemoryFilesystem(files)
        recovery = self._recoveries.run(partial(recover, filesystem))
        outcome = _Outcome(before, recovery, filesystem.files())
        for promised in promises:
            # Neighbouring states mostly recover to the same, and need not be judged again.
            if self._last is None or self._last[1] is not promised or self._last[0] != outcome:
                directory = DirectoryInMemory("memory", outcome.after)
                judged = _clean(judge(self._target, promised, directory, before, recovery))
                self._last = outcome, promised, judged
            yield self._last[2]

    def _judge_on_disk(self, content: Content, promises: Sequence[Promises]) -> Iterator[Judgement]:
        launch = self._target.recovery(self._directory)
        assert isinstance(launch, Call)
        os.mkdir(self._directory, 0o700)
        content.write_to(os.fsencode(self._directory))
        before = audit_before(self._target, self._directory)
        recovery = self._recoveries.run(launch.function)
        for promised in promises:
            yield _clean(judge(self._target, promised, self._directory, before, recovery))
        shutil.rmtree(self._directory)


def _clean(judgement: Judgement) -> Judgement:
    """Return a judgement without what was recovered; raise UncertainError if it is not clean."""
    if judgement.violations or judgement.faults:
        raise UncertainError("a violation, or a fault")
    return msgspec.structs.replace(judgement, recovered=[])
