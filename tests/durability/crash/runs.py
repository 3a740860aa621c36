"""Hypothesis strategies for short runs of a program that writes files."""

import random

from hypothesis import strategies as st

from durability.crash.validation.script import Script
from durability.crash.validation.workload import Workload
from durability.trace.records import AnyRecord, Output
from durability.trace.trace import Trace

ACTIONS = (
    "append",
    "append",
    "append much",
    "overwrite",
    "truncate",
    "extend",
    "rename",
    "unlink",
    "sync",
    "sync data",
    "sync directory",
    "sync all",
    "acknowledge",
)


@st.composite
def small_runs(draw: st.DrawFn, steps_max: int = 6) -> Script:
    """Draw a few steps on one or two files below the root, for a brute force to look at."""
    script = Script()
    names = {b"a": script.create(b"a")}
    for number, action in enumerate(draw(st.lists(st.sampled_from(ACTIONS), max_size=steps_max))):
        name = draw(st.sampled_from(sorted(names)))
        other = b"b" if name == b"a" else b"a"
        file, data = names[name], bytes([ord("A") + number])
        match action:
            case "append":
                script.append(file, data * 100)
            case "append much":
                script.append(file, data * 4100)
            case "overwrite":
                script.write(file, draw(st.sampled_from((0, 50, 4000))), data * 200)
            case "truncate":
                script.truncate(file, draw(st.sampled_from((0, 60, 4096))))
            case "extend":
                script.truncate(file, 4200)
            case "rename":
                script.rename(name, other)
                names[other] = names.pop(name)
            case "unlink" if len(names) > 1:
                script.unlink(name)
                del names[name]
            case "unlink":
                names[other] = script.create(other, data * 10)
            case "sync" | "sync data":
                script.sync(file, data_only=action == "sync data")
            case "sync directory":
                script.sync_directory()
            case "sync all":
                script.sync_all()
            case "acknowledge":
                script.acknowledge(data)
    return script


@st.composite
def runs(draw: st.DrawFn, records_max: int = 10) -> Trace:
    """Draw records of every kind, some of them acknowledgements."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    records: list[AnyRecord] = []
    for record in Workload(chance).records(draw(st.integers(1, records_max))):
        records.append(record)
        if chance.random() < 0.2:
            records.append(Output(b"."))
    return Trace([], records)
