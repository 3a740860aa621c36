"""A target's own audit, in a child of its own: it may raise, hang, exit or crash as it likes.

Where recovery shows no items, the audit is the recovery too; that it hung, exited or crashed is
then what it would be of any recovery, and only what it raises is its verdict.

The caller must be single-threaded, as for `durability.recovery.process`.
"""

import os
import signal
import traceback
from typing import Final

from durability.audit.guarantees import breach
from durability.audit.violation import Violation
from durability.recovery import process
from durability.targets.contract import Call, Target

_VERDICT_BYTES_MAX: Final = 4096  # so that a pipe takes it at once
_ACCEPTED: Final = b"accepted"
_REFUSED: Final = b"refused: "
_EXITED: Final = b"exited: "


def judge_by_own_audit(target: Target, directory: str, acknowledged: list[str]) -> list[Violation]:
    """Return a violation unless the target's audit, if it has one, returns within its time.

    It has as long as a recovery. Whatever it raises is how it reports a violation, the exceptions
    that end a program among them.
    """
    if target.audit is None:
        return []
    audit = target.audit
    recovers = target.speech.recovered is None
    verdict, verdict_write = os.pipe()

    def work() -> None:
        try:
            audit(directory, acknowledged)
        except BaseException as error:  # noqa: BLE001 - pytest.fail and sys.exit are no Exceptions
            kind = _EXITED if recovers and isinstance(error, SystemExit) else _REFUSED
            text = _words(error).encode("utf-8", "backslashreplace")
            os.write(verdict_write, (kind + text)[:_VERDICT_BYTES_MAX])
        else:
            os.write(verdict_write, _ACCEPTED)

    try:
        ended = process.run(Call(work), timeout_s=target.recovery_timeout_s)
    finally:
        os.close(verdict_write)
        with open(verdict, "rb") as pipe:
            said = pipe.read()
    if said == _ACCEPTED:
        return []
    if said.startswith(_REFUSED):
        return [breach("audit", said.removeprefix(_REFUSED).decode("utf-8", "replace"))]
    if said:
        return [breach("recovery-failed", said.removeprefix(_EXITED).decode("utf-8", "replace"))]
    kind, message = _how_it_ended(ended, target.recovery_timeout_s)
    return [breach(kind if recovers else "audit", message)]


def _words(error: BaseException) -> str:
    """Return what was raised, with its notes; of a silent assertion, which one it was."""
    text = f"{type(error).__name__}: {error}"
    if not str(error) and isinstance(error, AssertionError):
        where = traceback.extract_tb(error.__traceback__)[-1]
        text += f"{where.line} ({os.path.basename(where.filename)}:{where.lineno})"
    return "; ".join([text, *getattr(error, "__notes__", ())])


def _how_it_ended(ended: process.Ended, timeout_s: float) -> tuple[str, str]:
    """Return the kind of violation that an end is of a recovery, and the end in words."""
    if ended.signal is not None:
        return "recovery-signalled", f"it died of {signal_name(ended.signal)}"
    if ended.exit_status is None:
        return "recovery-hung", f"it was still running after {timeout_s:g} s"
    return "recovery-failed", f"it exited with {ended.exit_status} in place of returning"


def signal_name(number: int) -> str:
    """Return a signal's name, or its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
