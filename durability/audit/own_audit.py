"""A target's own audit, in a child of its own: it may raise, hang, exit or crash as it likes.

The caller must be single-threaded, as for `durability.recovery.process`.
"""

import os
import signal
from typing import Final

from durability.audit.guarantees import breach
from durability.audit.violation import Violation
from durability.recovery import process
from durability.targets.contract import Call, Target

_VERDICT_BYTES_MAX: Final = 4096  # so that a pipe takes it at once
_ACCEPTED: Final = b"accepted"
_REFUSED: Final = b"refused: "


def judge_by_own_audit(target: Target, directory: str, acknowledged: list[str]) -> list[Violation]:
    """Return a violation unless the target's audit, if it has one, returns within its time.

    It has as long as a recovery. Whatever it raises is how it reports a violation, the exceptions
    that end a program among them.
    """
    if target.audit is None:
        return []
    audit = target.audit
    verdict, verdict_write = os.pipe()

    def work() -> None:
        try:
            audit(directory, acknowledged)
        except BaseException as error:  # noqa: BLE001 - pytest.fail and sys.exit are no Exceptions
            text = f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace")
            os.write(verdict_write, (_REFUSED + text)[:_VERDICT_BYTES_MAX])
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
    if said:
        return [breach("audit", said.removeprefix(_REFUSED).decode("utf-8", "replace"))]
    return [breach("audit", _how_it_ended(ended, target.recovery_timeout_s))]


def _how_it_ended(ended: process.Ended, timeout_s: float) -> str:
    if ended.signal is not None:
        return f"it died of {signal_name(ended.signal)}"
    if ended.exit_status is None:
        return f"it was still running after {timeout_s:g} s"
    return f"it exited with {ended.exit_status} in place of returning"


def signal_name(number: int) -> str:
    """Return a signal's name, or its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
