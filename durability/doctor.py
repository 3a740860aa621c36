"""Self-test of the mechanisms: what this machine can do, shown by doing it.

Each check is a small experiment whose outcome is known beforehand. A check that this version's
commands depend on is `needed`; the others only say what the machine would permit.
"""

import errno
import os
import random
import subprocess
import time
from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from durability.campaign.workers import run_alone
from durability.errors import DurabilityError
from durability.report.result import Result
from durability.targets.contract import Call
from durability.trace.failure import FailureOrder
from durability.trace.kill_order import PAGE_BYTES, KillOrder
from durability.trace.records import Output, Sync, Write
from durability.trace.supervisor import Run, Supervisor

_KILLS: Final = 20
_RECORD_BYTES: Final = 100
_STREAM_BYTES: Final = 20_000
_WRITES: Final = 10
_FAILS: Final = 3
"""Which of the writes fails, from 1."""


class Check(msgspec.Struct, frozen=True):
    """One experiment's outcome."""

    name: str
    ok: bool
    detail: str
    needed: bool


class _UnexpectedError(Exception):
    """The experiment came out otherwise than it must."""


def doctor(directory: str) -> Result:
    """Run every check, with data directories below `directory`."""
    began = time.monotonic()
    outcome = run_alone(lambda control: msgspec.msgpack.encode(_checks(directory, control)))
    checks = msgspec.msgpack.decode(outcome, type=list[Check])
    return Result(
        command="doctor",
        elapsed_s=time.monotonic() - began,
        figures={"checks": msgspec.to_builtins(checks)},
        reasons=[f"{c.name}: {c.detail}" for c in checks if c.needed and not c.ok],
    )


def _checks(directory: str, control: int) -> list[Check]:
    traced: list[tuple[str, Callable[[Supervisor, str], str]]] = [
        ("exact kill", _exact_kill),
        ("torn write", _torn_write),
        ("order of acknowledgements", _order_of_acknowledgements),
        ("failing disk", _failing_disk),
    ]
    found: list[Check] = []
    try:
        supervisor = Supervisor(control)
    except (DurabilityError, OSError) as error:
        return [Check(name, ok=False, detail=str(error), needed=True) for name, _ in traced]
    for name, experiment in traced:
        with TemporaryDirectory(prefix="durability-", dir=directory) as root:
            try:
                found.append(Check(name, ok=True, detail=experiment(supervisor, root), needed=True))
            except (_UnexpectedError, DurabilityError, OSError) as error:
                found.append(Check(name, ok=False, detail=str(error), needed=True))
    return [*found, _network_namespaces(), _loop_devices()]


def _exact_kill(supervisor: Supervisor, root: str) -> str:
    """A file must be exactly as long as the kill ordered, with the right content."""
    expected = b"".join(_record(number) for number in range(_STREAM_BYTES // _RECORD_BYTES))
    for _ in range(_KILLS):
        length = random.randint(1, _STREAM_BYTES)
        path = os.path.join(root, f"log-{length}")
        run = supervisor.run(Call(partial(_append, path)), root, KillOrder(length))
        _require_landed(run)
        with open(path, "rb") as file:
            content = file.read()
        if content != expected[:length]:
            raise _UnexpectedError(f"killed at byte {length}, but {len(content)} bytes are there")
        os.unlink(path)
    return f"{_KILLS} of {_KILLS} kills left exactly the bytes that were ordered"


def _torn_write(supervisor: Supervisor, root: str) -> str:
    """A write of several pages must end at the page boundary below the kill."""
    path = os.path.join(root, "pages")
    data = bytes(4 * PAGE_BYTES)
    order = KillOrder(2 * PAGE_BYTES + 17, tear="page")
    run = supervisor.run(Call(partial(_write_once, path, data)), root, order)
    _require_landed(run)
    size = os.stat(path).st_size
    if size != 2 * PAGE_BYTES:
        raise _UnexpectedError(
            f"a write was to be cut at {2 * PAGE_BYTES}, but {size} bytes are there"
        )
    return f"a write of {len(data)} bytes was cut at {size}"


def _order_of_acknowledgements(supervisor: Supervisor, root: str) -> str:
    """Each acknowledgement must stand behind the sync it speaks of, before the next write."""
    path = os.path.join(root, "log")
    run = supervisor.run(Call(partial(_append, path)), root, KillOrder(_STREAM_BYTES // 2))
    _require_landed(run)
    kinds = [type(r) for r in run.trace.records if isinstance(r, Write | Sync | Output)]
    rounds = len(kinds) // 3
    if not rounds or kinds[: 3 * rounds] != [Write, Sync, Output] * rounds:
        raise _UnexpectedError("acknowledgements do not stand where they were given")
    return f"{rounds} acknowledgements, each between its sync and the next write"


def _failing_disk(supervisor: Supervisor, root: str) -> str:
    """One call must fail as ordered and change nothing, and all the others must succeed."""
    path = os.path.join(root, "log")
    order = FailureOrder("write-eio", 1 + _FAILS)  # the first call creates the file
    run = supervisor.run(Call(partial(_append_some, path)), root, failure=order)
    with open(path, "rb") as file:
        content = file.read()
    kept = [number for number in range(_WRITES) if number != _FAILS - 1]
    seen = run.trace.lines()
    if seen != [str(errno.EIO)] or content != b"".join(map(_record, kept)):
        raise _UnexpectedError(
            f"write {_FAILS} was to fail with {errno.EIO}, but errors are {seen}, and"
            f" {len(content)} bytes are there"
        )
    return f"of {_WRITES} writes one failed, as ordered, and the others are there"


def _require_landed(run: Run) -> None:
    if not run.landed():
        reason = "; ".join(run.differences) or run.stderr or "it was not reached"
        raise _UnexpectedError(f"the kill did not land: {reason}")


def _record(number: int) -> bytes:
    return b"%0*d\n" % (_RECORD_BYTES - 1, number)


def _append(path: str) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    number = 0
    while True:
        os.write(descriptor, _record(number))
        os.fdatasync(descriptor)
        os.write(1, b"ack %d\n" % number)
        number += 1


def _append_some(path: str) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    for number in range(_WRITES):
        try:
            os.write(descriptor, _record(number))
        except OSError as error:
            os.write(1, b"%d\n" % (error.errno or 0))


def _write_once(path: str, data: bytes) -> None:
    os.write(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), data)


def _network_namespaces() -> Check:
    command = ["unshare", "--user", "--map-root-user", "--net", "true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("network namespaces", ok=False, detail=str(error), needed=False)
    ok = done.returncode == 0
    detail = "an unprivileged one can be made" if ok else done.stderr.strip()
    return Check("network namespaces", ok=ok, detail=detail, needed=False)


def _loop_devices() -> Check:
    usable = os.access("/dev/loop-control", os.R_OK | os.W_OK)
    detail = "/dev/loop-control can be used" if usable else "needs root and /dev/loop-control"
    return Check("loop devices", ok=usable, detail=detail, needed=False)
