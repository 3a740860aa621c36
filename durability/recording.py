"""Recording one run of a target into a trace file, and printing a trace for a person."""

import os
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory

import msgspec

from durability.audit.ledger import Ledger
from durability.campaign.workers import run_alone
from durability.crash_cycle import CrashCycle, Plan
from durability.errors import UsageError
from durability.report.result import Result
from durability.targets.contract import Target
from durability.trace import trace as traces
from durability.trace.records import (
    Allocate,
    AnyRecord,
    Kill,
    Link,
    Open,
    Output,
    Refused,
    Rename,
    Symlink,
    Sync,
    SyncAll,
    Truncate,
    Untraceable,
    Write,
)
from durability.trace.trace import Trace


def record(target: Target, plan: Plan, path: str) -> Result:
    """Run a target once, to its end or as far as its stream is explored, and keep the trace."""
    began = time.monotonic()
    if os.path.exists(path):
        raise UsageError(f"{path} exists already: give another name, or remove it")

    def work(control: int) -> bytes:
        with CrashCycle(target, plan, control) as cycle:
            run = cycle.measure()
        traces.save(run.trace, path)
        return msgspec.json.encode(
            {
                "operations": len(run.trace.records),
                "bytes": run.trace.stream_bytes(),
                "acks": len(_acknowledged(target, run.trace)),
                "untraceable": run.trace.untraceable(),
                "differences": run.differences,
            }
        )

    with TemporaryDirectory(prefix="durability-", dir=plan.directory) as base:
        plan = msgspec.structs.replace(plan, directory=base)
        figures = msgspec.json.decode(run_alone(work))
    differences = figures.pop("differences")
    return Result(
        command="trace",
        elapsed_s=time.monotonic() - began,
        figures={"target": target.name, **figures, "file": path},
        reasons=[
            *(f"not traced: {around}" for around in figures["untraceable"]),
            *(f"the disk is not what the trace says: {text}" for text in differences),
        ],
    )


def _acknowledged(target: Target, trace: Trace) -> list[str]:
    ledger = Ledger(target.speech)
    for line in trace.lines():
        ledger.hear(line)
    return ledger.acknowledged


def render(trace: Trace) -> Iterator[str]:
    """Yield a line for each record: its position in the write stream, the call, what it did."""
    offset = 0
    for entry in trace.records:
        yield f"{offset:>10}  {_described(entry)}"
        if isinstance(entry, Write):
            offset += len(entry.data)


def _described(entry: AnyRecord) -> str:
    match entry:
        case Open():
            made = " created" if entry.created else ""
            cut = " truncated" if entry.flags & os.O_TRUNC else ""
            return f"open      {_shown(entry.path)}{made}{cut}"
        case Write():
            torn = f" torn from {entry.asked}" if entry.torn else ""
            return (
                f"write     {_shown(entry.path)} at {entry.offset}: {len(entry.data)} bytes{torn}"
            )
        case Sync():
            call = "fdatasync" if entry.data_only else "fsync    "
            return f"{call} {_shown(entry.path) or '.'}"
        case SyncAll():
            return "sync"
        case Truncate():
            return f"truncate  {_shown(entry.path)} to {entry.size}"
        case Allocate():
            extent = f"{entry.length} bytes at {entry.offset}, mode {entry.mode}"
            return f"fallocate {_shown(entry.path)}: {extent}"
        case Rename():
            arrow = "<->" if entry.exchange else "->"
            return f"rename    {_shown(entry.source)} {arrow} {_shown(entry.destination)}"
        case Link():
            return f"link      {_shown(entry.path)} to file {entry.file}"
        case Symlink():
            return f"symlink   {_shown(entry.path)} -> {_shown(entry.content)}"
        case Output():
            return f"printed   {_shown(entry.data)!r}"
        case Untraceable():
            return f"NOT SEEN  {entry.call} of {_shown(entry.path)}"
        case Refused():
            return f"refused   {entry.call}"
        case Kill():
            return f"KILL      {'inside a write' if entry.torn else 'between two calls'}"
        case _:
            name = {"Unlink": "unlink", "MakeDirectory": "mkdir", "RemoveDirectory": "rmdir"}
            return f"{name[type(entry).__name__]:<9} {_shown(entry.path)}"


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")
