"""A disk that fails, which is no crash: at the n-th operation, for n = 1, 2, ... until none does.

The loop is SQLite's (sqlite.org/testing.html, section 3.2). Each time a short run meets one fault;
then the process is started again on what the cache shows, and again after the power was cut. What
was acknowledged at either time must be there. An error that reaches the program ends its process.

For targets that take a directory that is handed in.
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
from durability.errors import UsageError
from durability.recovery.failing import FAULTS, FailingDisk, FailingFilesystem, Fault
from durability.recovery.in_process import Recoveries
from durability.recovery.recovery import Recovery
from durability.report.result import Result
from durability.targets.contract import Target
from raft.errors import DiskError
from raft.filesystem import Filesystem


class Failures(msgspec.Struct):
    """What one fault has come to: how often it fired, and what was broken, each kind once.

    `acknowledged` counts what the runs had promised, `faults` are reasons why one shows nothing.
    """

    fired: int = 0
    violations: int = 0
    acknowledged: int = 0
    found: dict[str, Violation] = {}
    faults: set[str] = set()

    def take(self, judgements: Sequence[Judgement]) -> None:
        """Count what one run came to."""
        violations = [found for judgement in judgements for found in judgement.violations]
        self.violations += bool(violations)
        for violation in violations:
            self.found.setdefault(violation.kind, violation)
        self.acknowledged += max((judgement.acknowledged for judgement in judgements), default=0)
        self.faults.update(fault for judgement in judgements for fault in judgement.faults)


def disk_errors(target: Target) -> Result:
    """Let the disk fail at each operation of a target's short run, in every way.

    Raises UsageError where the target takes no directory that is handed in.
    """
    began = time.monotonic()
    if target.work_in_memory is None or target.recover_in_memory is None:
        raise UsageError(f"{target.name} cannot be run on a disk of ours")

    def work(control: int) -> bytes:
        del control
        loop = _Loop(target)
        return msgspec.msgpack.encode({fault: loop.until_none_fires(fault) for fault in FAULTS})

    failures = msgspec.msgpack.decode(run_alone(work), type=dict[Fault, Failures])
    result = Result(
        command="disk",
        elapsed_s=time.monotonic() - began,
        figures={
            "target": target.name,
            "faults": {
                fault: {"fired": of.fired, "violations": of.violations}
                for fault, of in failures.items()
            },
        },
    )
    for fault, of in failures.items():
        result.violations += [
            msgspec.structs.replace(
                violation,
                message=f"{violation.message} ({fault})",
                subject=f"{target.name}: {fault}",
                reproduce=f"durability disk {target.name}",
            )
            for violation in of.found.values()
        ]
        if not of.fired:
            result.reasons.append(f"{fault}: no operation of the run failed")
        elif not of.acknowledged:
            result.reasons.append(f"{fault}: nothing was acknowledged")
        result.reasons += [f"{fault}: {reason}" for reason in sorted(of.faults)]
    return result


class _Loop:
    """Runs of one target in this process, which was forked for that."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._recoveries = Recoveries(target)

    def until_none_fires(self, fault: Fault) -> Failures:
        """Let each operation fail in turn."""
        failures = Failures()
        while True:
            disk = FailingDisk(fault, failures.fired + 1)
            failures.take(self._meet(disk))
            if not disk.fired:  # the last run has met the power cut alone
                return failures
            failures.fired += 1

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
