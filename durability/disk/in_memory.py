"""A disk of ours, for targets that take one: its n-th operation fails, for n = 1, 2, ...

The loop is SQLite's (sqlite.org/testing.html, section 3.2). Each time a short run meets one fault;
then the process is started again on what the cache shows, and again after the power was cut. What
was acknowledged at either time must be there. An error that reaches the program ends its process.

A program that goes on behind the fault may make up for it: so the power is cut before each of its
syncs, too. On a full disk it is started twice: while it is full, and with room.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from durability.audit.data_directory import DirectoryInMemory
from durability.audit.guarantees import breach
from durability.audit.judgement import Judgement, audit_before, judge
from durability.audit.promises import Heard, Promises
from durability.audit.violation import Violation
from durability.campaign.workers import run_alone
from durability.disk.outcome import Outcome
from durability.disk.scope import DiskScope
from durability.recovery.failing import FailingDisk, FailingFilesystem
from durability.recovery.in_process import Recoveries
from durability.recovery.recovery import Recovery
from durability.targets.contract import Target
from durability.trace.failure import Failure
from raft.errors import DiskError
from raft.filesystem import Filesystem


def failures_in_memory(
    target: Target, failures: Sequence[Failure], scope: DiskScope
) -> dict[str, Outcome]:
    """Let the disk fail at each operation of a target's short run, in each of these ways.

    The target takes a directory that is handed in. These are the first of the scope's faults to
    take their shares of its time.
    """

    def work(control: int) -> bytes:
        del control
        loop = _Loop(target)
        outcomes = {
            failure: loop.until_none_fires(failure, scope.share(number, len(scope.faults)))
            for number, failure in enumerate(failures, start=1)
        }
        return msgspec.msgpack.encode(outcomes)

    return msgspec.msgpack.decode(run_alone(work), type=dict[str, Outcome])


class _Cut(NamedTuple):
    """What a power cut leaves in the middle of a run, and what the run had printed by then."""

    disk: FailingDisk
    lines: list[str]


class _Loop:
    """Runs of one target in this process, which was forked for that."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._recoveries = Recoveries(target)

    def until_none_fires(self, failure: Failure, until: float | None) -> Outcome:
        """Let each operation fail in turn; begin no further run after `until`."""
        outcome = Outcome()
        while not outcome.time_was_up:
            disk, cuts = self._failing(failure, outcome.fired + 1)
            outcome.take(self._meet(disk, cuts))
            if not disk.fired:  # the last run has met the power cut alone
                outcome.possible = outcome.fired
                break
            outcome.fired += 1
            outcome.time_was_up = until is not None and time.monotonic() >= until
        outcome.found = {
            kind: msgspec.structs.replace(found, message=f"{found.message} ({failure})")
            for kind, found in outcome.found.items()
        }
        return outcome

    def _failing(self, failure: Failure, at: int) -> tuple[FailingDisk, list[_Cut]]:
        """Return a disk whose `at`-th operation fails, and the cuts, as they come."""
        cuts: list[_Cut] = []

        def cut(disk: FailingDisk) -> None:
            cuts.append(_Cut(disk.without_power(), self._recoveries.lines_so_far()))

        return FailingDisk(failure, at, cut), cuts

    def _meet(self, disk: FailingDisk, cuts: list[_Cut]) -> list[Judgement]:
        """Run once until the fault; judge what each cut has left, and what restarts make of it."""
        assert self._target.work_in_memory is not None
        run, escaped = self._call(self._target.work_in_memory, disk)
        if escaped is not None and not isinstance(escaped, DiskError):
            return [_broken(breach("error-escaped", _told(escaped)))]
        cuts.append(_Cut(disk.without_power(), run.lines))
        return [*self._cut_power(cuts), *self._start_again(disk, run.lines)]

    def _cut_power(self, cuts: list[_Cut]) -> Iterator[Judgement]:
        """Yield the judgements up to the first that is not clean: the next are mostly alike."""
        for cut in cuts:
            _, judgement = self._recover(cut.disk, cut.lines)
            yield judgement
            if not judgement.is_clean:
                return

    def _start_again(self, disk: FailingDisk, lines: list[str]) -> Iterator[Judgement]:
        """Start again on what the cache shows, and where that ended well behind a power cut."""
        promised = lines
        if disk.is_full:
            again, judgement = self._recover(disk, promised, may_refuse=True)
            yield judgement
            if again is not None:
                promised = _promised(promised, again)
        disk.make_room()
        again, judgement = self._recover(disk, promised)
        yield judgement
        if again is not None:
            disk.lose_power()
            yield self._recover(disk, _promised(promised, again))[1]

    def _recover(
        self, disk: FailingDisk, lines: list[str], *, may_refuse: bool = False
    ) -> tuple[Recovery | None, Judgement]:
        """Recover and judge by the lines of a run; no recovery where it did not end well.

        On a full disk it may refuse; what it has changed by then stays.
        """
        recover = self._target.recover_in_memory
        assert recover is not None
        before = audit_before(self._target, DirectoryInMemory("memory", disk.cached()))
        recovery, escaped = self._call(recover, disk)
        if may_refuse and isinstance(escaped, DiskError):
            return None, Judgement(0, 0, [], [], [], [])
        if escaped is not None:
            return None, _broken(breach("recovery-failed", _told(escaped)))
        after = DirectoryInMemory("memory", disk.cached())
        promises = Promises.of(self._target, [Heard("run", lines)])
        return recovery, judge(self._target, promises, after, before, recovery)

    def _call(
        self, function: Callable[[Filesystem], object], disk: FailingDisk
    ) -> tuple[Recovery, BaseException | None]:
        """Call a function with the disk; return what it printed, and what it raised."""
        raised: list[BaseException] = []

        def guarded() -> None:
            try:
                function(FailingFilesystem(disk))
            except Exception as error:  # noqa: BLE001 - that it is none but DiskError is judged
                raised.append(error)

        return self._recoveries.run(guarded), raised[0] if raised else None


def _broken(violation: Violation) -> Judgement:
    return Judgement(0, 0, [], [violation], [], [])


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _promised(lines: list[str], again: Recovery) -> list[str]:
    """Return what stands promised after a restart: all that it showed, and what it accepted."""
    of_itself = [line for line in lines if not line.startswith(("item ", "ack "))]
    accepted = [
        line.removeprefix("accepted ") for line in again.lines if line.startswith("accepted ")
    ]
    items = [*again.items, *accepted]
    return [*of_itself, *(line for item in items for line in (f"item {item}", f"ack {item}"))]
