"""A recovery: what a target found in a directory after a crash, and how its attempt ended."""

from dataclasses import dataclass
from typing import Literal

from durability.errors import InconclusiveError
from durability.recovery.process import STDOUT_LIMIT_BYTES, Ended, run
from durability.targets.contract import Target, item_in, lines_of

Outcome = Literal["recovered", "failed", "hung", "signalled"]
"""It exited with 0, exited with anything else, had to be killed at its deadline, or died."""


@dataclass(frozen=True)
class Recovery:
    """What recovery printed and how it ended.

    `exit_status` is None unless it exited, `signal` unless it died of one. `items` are the ids in
    `lines` that the target's speech recognises, in their order; `stderr` is the end of what was
    written there. Bytes that are not UTF-8 are escaped with a backslash.
    """

    outcome: Outcome
    exit_status: int | None
    signal: int | None
    items: list[str]
    lines: list[str]
    stderr: str
    elapsed_s: float


def recover(
    target: Target, directory: str, *, stdout_limit_bytes: int = STDOUT_LIMIT_BYTES
) -> Recovery:
    """Run a target's recovery on a directory, untraced, for `target.recovery_timeout_s` at most.

    Raises TargetError where it cannot be started, and InconclusiveError where it recovered but
    printed more than `stdout_limit_bytes`.
    """
    ended = run(
        target.recovery(directory),
        timeout_s=target.recovery_timeout_s,
        stdout_limit_bytes=stdout_limit_bytes,
    )
    return understood(target, ended, stdout_limit_bytes)


def understood(
    target: Target, ended: Ended, stdout_limit_bytes: int = STDOUT_LIMIT_BYTES
) -> Recovery:
    """Read what a process that ran a target's recovery has printed.

    Raises InconclusiveError where it recovered but printed more than `stdout_limit_bytes`.
    """
    outcome = _outcome(ended)
    if outcome == "recovered" and ended.stdout_bytes > stdout_limit_bytes:
        raise InconclusiveError(
            f"recovery of {target.name} printed {ended.stdout_bytes} bytes; "
            f"only {stdout_limit_bytes} are kept, so its items cannot be judged"
        )
    said = ended.stdout
    if ended.exit_status is not None and said and not said.endswith(b"\n"):
        said += b"\n"  # its own end is the end of its last line
    lines = lines_of(said)
    items = (item_in(line, target.speech.recovered) for line in lines)
    return Recovery(
        outcome=outcome,
        exit_status=ended.exit_status,
        signal=ended.signal,
        items=[item for item in items if item is not None],
        lines=lines,
        stderr=ended.stderr.decode("utf-8", "backslashreplace"),
        elapsed_s=ended.elapsed_s,
    )


def _outcome(ended: Ended) -> Outcome:
    if ended.signal is not None:
        return "signalled"
    if ended.exit_status is None:
        return "hung"
    return "failed" if ended.exit_status else "recovered"
