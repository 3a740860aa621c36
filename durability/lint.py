"""What was not durable when it was acknowledged: one pass over a trace, without any recovery.

Under a model, each operation that was issued before an acknowledgement and that a power cut could
still lose is a finding. A recovery may do well without it - a temporary, a file to be removed - so
a finding is a question; `power_loss` answers it. What is asked only once is when the program wrote
something and promised something before it synced.
"""

import time
from collections.abc import Iterator, Sequence
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from durability.audit.guarantees import breach
from durability.campaign.cycle import Plan
from durability.crash.models import Model
from durability.crash.operations import Grow, Operation
from durability.crash.persistence import Persistence
from durability.recording import traced
from durability.report.result import Result
from durability.targets.contract import Target, item_in, lines_of
from durability.trace.records import Output, Write, shown
from durability.trace.trace import Trace
from durability.trace.volatile import Volatile

_SHOWN: Final = 3


class Exposed(msgspec.Struct, frozen=True):
    """An operation that could still be lost when an item was acknowledged, under a model.

    `source` are the lines of the program that made it, where they are known.
    """

    acknowledgement: str
    model: str
    operation: str
    path: str
    source: str = ""


def lint(target: Target, plan: Plan, models: Sequence[str]) -> Result:
    """Record one run of a target and say what was not durable at each acknowledgement.

    Raises as `offline.traced`.
    """
    began = time.monotonic()
    with TemporaryDirectory(prefix="durability-", dir=plan.directory) as base:
        trace, measured = traced(
            target, msgspec.structs.replace(plan, directory=base), with_sources=True
        )
    looking = time.monotonic()
    findings = [one for name in models for one in exposed(trace, target, Model.named(name))]
    looked_s = time.monotonic() - looking
    acks = sum(target.speech.acknowledged.search(line) is not None for line in trace.lines())
    result = Result(
        command="lint",
        elapsed_s=time.monotonic() - began,
        figures={
            "target": target.name,
            "operations": len(trace.records),
            "acks": acks,
            "pass_s": round(looked_s, 4),
            "findings": msgspec.to_builtins(findings),
        },
        reasons=[*measured.faults],
        notes=[*measured.notes],
    )
    if not acks:
        result.reasons.append("nothing was acknowledged: is standard output flushed?")
    for path in dict.fromkeys(one.path for one in findings):
        of_path = [one for one in findings if one.path == path]
        names = ", ".join(dict.fromkeys(one.model for one in of_path))
        first = "; ".join(
            f"{one.operation}{f' ({one.source})' if one.source else ''}"
            f" when {one.acknowledgement} was acknowledged"
            for one in of_path[:_SHOWN]
        )
        violation = breach("not-durable", f"{path}: {first} (under {names})")
        result.violations.append(
            msgspec.structs.replace(violation, subject=f"{target.name}: {path}")
        )
    return result


def exposed(trace: Trace, target: Target, model: Model) -> Iterator[Exposed]:
    """Yield each operation once, with the first acknowledgement that did not wait for it.

    Of files that recovery does not trust there is none.
    """
    volatile = Volatile(target.volatile)
    disk = Persistence(model)
    disk.begin(trace.initial)
    said = b""
    told: set[Operation] = set()
    for number, record in enumerate(trace.records):
        if not isinstance(record, Output):
            for _ in disk.feed(record, number):
                pass
            continue
        said += record.data
        whole, _, said = said.rpartition(b"\n")
        for line in lines_of(whole + b"\n"):
            item = item_in(line, target.speech.acknowledged)
            if item is not None:
                new = [one for one in disk.pending if one not in told and one.path not in volatile]
                told.update(new)
                yield from (
                    _exposed(one, item, model, trace) for one in new if _matters(one, trace)
                )


def _matters(operation: Operation, trace: Trace) -> bool:
    """Tell whether it is to be told by itself: the size that a write brings goes without saying."""
    brought = isinstance(trace.records[operation.record], Write)
    return not (isinstance(operation, Grow) and brought)


def _exposed(operation: Operation, item: str, model: Model, trace: Trace) -> Exposed:
    source = trace.sources.get(operation.record, "")
    return Exposed(item, model.name, str(operation), shown(operation.path), source)
