"""Recording one run of a target into a trace file, and printing a trace for a person."""

import os
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory

import msgspec

from durability.audit.ledger import Ledger
from durability.campaign.crash_cycle import CrashCycle, incomplete
from durability.campaign.cycle import Measured, Plan
from durability.campaign.workers import run_alone
from durability.errors import InconclusiveError, UsageError
from durability.report.result import Result
from durability.targets.contract import Target
from durability.trace import trace as traces
from durability.trace.records import Write
from durability.trace.trace import Trace


def traced(target: Target, plan: Plan, *, with_sources: bool = False) -> tuple[Trace, Measured]:
    """Run a target once; return its trace, and what was measured.

    The trace tells source lines `with_sources`, as for `Supervisor.run`.

    Raises MechanismError where the target cannot be started or traced, VacuousError where a run
    changes nothing, InconclusiveError where a run changes more than its trace shows.
    """

    def work(control: int) -> bytes:
        with CrashCycle(target, plan, control) as cycle:
            run, measured = cycle.measure_run(with_sources=with_sources)
        if text := incomplete(run):
            raise InconclusiveError(f"{target.name}: {text}")
        return msgspec.msgpack.encode((run.trace, measured))

    return msgspec.msgpack.decode(run_alone(work), type=tuple[Trace, Measured])


def record(target: Target, plan: Plan, path: str) -> Result:
    """Run a target once, to its end or as far as its stream is explored, and keep the trace.

    Raises UsageError where the file exists, InconclusiveError where it cannot be written.
    """
    began = time.monotonic()
    if os.path.exists(path):
        raise UsageError(f"{path} exists already: give another name, or remove it")

    def work(control: int) -> bytes:
        with CrashCycle(target, plan, control) as cycle:
            run = cycle.record()
        try:
            traces.save(run.trace, path)
        except OSError as error:
            raise InconclusiveError(f"the trace cannot be kept: {error}") from error
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
    """Yield a line for each record, behind its position in the write stream."""
    offset = 0
    for number, entry in enumerate(trace.records):
        source = trace.sources.get(number)
        yield f"{offset:>10}  {entry}" + (f"  [{source}]" if source else "")
        if isinstance(entry, Write):
            offset += len(entry.data)
