"""A disk of ours, for targets that take one: its n-th operation fails, for n = 1, 2, ...

The loop is SQLite's (sqlite.org/testing.html, section 3.2). Each time a short run meets one fault;
then the process is started again on what the cache shows, and again after the power was cut. What
was acknowledged at either time must be there. An error that reaches the program ends its process.
"""

import copy
import time
from collections.abc import Callable, Sequence

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


class _Loop:
    """Runs of one target in this process, which was forked for that."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._recoveries = Recoveries(target)

    def until_none_fires(self, failure: Failure, until: float | None) -> Outcome:
        """Let each operation fail in turn; begin no further run after `until`."""
        outcome = Outcome()
        while not outcome.time_was_up:
            disk = FailingDisk(failure, outcome.fired + 1)
            outcome.take(self._meet(disk))
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

    def _meet(self, disk: FailingDisk) -> list[Judgement]:
        """Run once until the fault, start again with the cache and without it; judge both."""
        assert self._target.work_in_memory is not None
        run, escaped = self._call(self._target.work_in_memory, disk)
        if escaped is not None and not isinstance(escaped, DiskError):
            return [_broken(breach("error-escaped", _told(escaped)))]
        heard = [Heard("run", run.lines)]
        unpowered = copy.deepcopy(disk)
        unpowered.lose_power()
        unpowered.make_room()
        again, judgement = self._recover(disk, heard, full=True)
        if again is None:
            return [judgement]
        disk.lose_power()
        return [
            judgement,
            self._recover(disk, [Heard("run", _promised(run, again))])[1],
            self._recover(unpowered, heard)[1],
        ]

    def _recover(
        self, disk: FailingDisk, heard: list[Heard], *, full: bool = False
    ) -> tuple[Recovery | None, Judgement]:
        """Recover and judge; where the disk may be `full`, try once, then make room."""
        recover = self._target.recover_in_memory
        assert recover is not None
        if full:
            _, refused = self._call(recover, copy.deepcopy(disk))
            if refused is not None and not isinstance(refused, DiskError):
                return None, _broken(breach("recovery-failed", _told(refused)))
            disk.make_room()
        before = audit_before(self._target, DirectoryInMemory("memory", disk.cached()))
        recovery, escaped = self._call(recover, disk)
        if escaped is not None:
            return None, _broken(breach("recovery-failed", _told(escaped)))
        after = DirectoryInMemory("memory", disk.cached())
        promises = Promises.of(self._target, heard)
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


def _promised(run: Recovery, again: Recovery) -> list[str]:
    """Return what stands promised after a restart: all that it showed, and what it accepted."""
    of_itself = [line for line in run.lines if not line.startswith(("item ", "ack "))]
    accepted = [
        line.removeprefix("accepted ") for line in again.lines if line.startswith("accepted ")
    ]
    items = [*again.items, *accepted]
    return [*of_itself, *(line for item in items for line in (f"item {item}", f"ack {item}"))]
