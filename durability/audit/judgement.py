"""What one recovery amounts to: how it ended, what it found, and what had been promised."""

from typing import Final

import msgspec

from durability.audit.data_directory import DataDirectory
from durability.audit.directory import audit_directory
from durability.audit.guarantees import breach
from durability.audit.own_audit import judge_by_own_audit, signal_name
from durability.audit.promises import Promises
from durability.audit.recovered import DirectoryAudit
from durability.audit.violation import Violation
from durability.recovery.recovery import Recovery
from durability.targets.contract import Target

_WORDS_BYTES_MAX: Final = 300


class Judgement(msgspec.Struct, frozen=True):
    """What a recovery amounts to.

    `acknowledged` and `lost` count items; `recovered` are the items that were shown, none where
    recovery did not end well; `faults` are reasons why nothing is shown.
    """

    acknowledged: int
    lost: int
    recovered: list[str]
    violations: list[Violation]
    faults: list[str]
    notes: list[str]

    @property
    def is_clean(self) -> bool:
        """Whether nothing was broken, and nothing is in the way of saying so."""
        return not self.violations and not self.faults


class Outcome(msgspec.Struct, frozen=True):
    """What a recovery came to: all that a judgement depends on beside the promises.

    But for a target's own audit. `before` and `after` are the audits of its directory, None for a
    format that is not known here; `after` also where recovery did not end well.
    """

    before: DirectoryAudit | None
    recovery: Recovery
    after: DirectoryAudit | None


def audit_before(target: Target, directory: str | DataDirectory) -> DirectoryAudit | None:
    """Audit what the crash left, before recovery changes it; None for a format not known here."""
    return audit_directory(directory) if target.data == "raft" else None


def outcome_of(
    directory: str | DataDirectory, before: DirectoryAudit | None, recovery: Recovery
) -> Outcome:
    """Audit a recovered directory; `before` is `audit_before` of the same one."""
    readable = before is not None and recovery.outcome == "recovered"
    after = audit_directory(directory, recovered=True) if readable else None
    return Outcome(before, recovery, after)


def judge(
    target: Target,
    promises: Promises,
    directory: str | DataDirectory,
    before: DirectoryAudit | None,
    recovery: Recovery,
) -> Judgement:
    """Judge a recovered directory against what had been promised.

    `before` is `audit_before` of the same directory. Where recovery did not end well, nothing
    further is judged: what it did not print may still be there.
    """
    judgement = judge_outcome(target, promises, outcome_of(directory, before, recovery))
    if target.audit is None or recovery.outcome != "recovered":
        return judgement
    path = directory if isinstance(directory, str) else directory.path
    own = judge_by_own_audit(target, path, list(promises.ledger.acknowledged))
    own = [msgspec.structs.replace(violation, subject=target.name) for violation in own]
    return msgspec.structs.replace(judgement, violations=[*judgement.violations, *own])


def judge_outcome(target: Target, promises: Promises, outcome: Outcome) -> Judgement:
    """Judge what a recovery came to, without the target's own audit."""
    ledger, recovery = promises.ledger, outcome.recovery
    violations: list[Violation] = []
    lost: list[str] = []
    faults: list[str] = []
    if outcome.before is not None:
        violations += outcome.before.violations
    if recovery.outcome != "recovered":
        violations.append(_not_recovered(recovery, target.recovery_timeout_s))
    elif target.speech.recovered is not None:
        lost = ledger.lost(recovery.items, target.order)
        faults = ledger.faults(recovery.items)
        violations += ledger.judge(recovery.items, target.order)
    if outcome.before is not None and outcome.after is not None:
        violations += outcome.after.violations
        violations += promises.raft.judge(recovery.lines, outcome.before, outcome.after)
    return Judgement(
        acknowledged=len(ledger.acknowledged),
        lost=len(lost),
        recovered=recovery.items if recovery.outcome == "recovered" else [],
        violations=[msgspec.structs.replace(v, subject=target.name) for v in violations],
        faults=faults,
        notes=ledger.notes if target.speech.recovered is not None else [],
    )


def _not_recovered(recovery: Recovery, timeout_s: float) -> Violation:
    last_words = recovery.stderr.strip()[-_WORDS_BYTES_MAX:] or "it printed no error"
    match recovery.outcome:
        case "hung":
            return breach("recovery-hung", f"it was still running after {timeout_s:g} s")
        case "signalled":
            name = signal_name(recovery.signal or 0)
            return breach("recovery-signalled", f"it died of {name}: {last_words}")
        case _:
            return breach("recovery-failed", f"it exited with {recovery.exit_status}: {last_words}")
