"""Short runs of a program that writes files, as Hypothesis draws them, and what they may leave."""

import random
from collections.abc import Callable, Iterator

from hypothesis import strategies as st

from durability.crash.loss_states import LossStates, LossWalk
from durability.crash.models import Model
from durability.crash.moment import CrashState
from durability.crash.validation.script import Script
from durability.crash.validation.workload import Workload
from durability.trace.records import AnyRecord, Output
from durability.trace.trace import Trace

CHANGES: dict[str, Callable[[Script, int, bytes], object]] = {
    "append": lambda script, file, data: script.append(file, data * 100),
    "append much": lambda script, file, data: script.append(file, data * 4100),
    "overwrite the beginning": lambda script, file, data: script.write(file, 0, data * 50),
    "overwrite across pages": lambda script, file, data: script.write(file, 4000, data * 200),
    "empty": lambda script, file, _: script.truncate(file, 0),
    "cut": lambda script, file, _: script.truncate(file, 60),
    "extend": lambda script, file, _: script.truncate(file, 4200),
    "sync": lambda script, file, _: script.sync(file),
    "sync data": lambda script, file, _: script.sync(file, data_only=True),
    "sync directory": lambda script, _file, _data: script.sync_directory(),
    "sync all": lambda script, _file, _data: script.sync_all(),
    "acknowledge": lambda script, _file, data: script.acknowledge(data),
}


def states(
    model: Model, trace: Trace, *, limit: int | None = None, exhaustive: bool = False
) -> Iterator[CrashState]:
    """Yield what `powerloss` would look at."""
    walk = LossWalk(model, trace)
    for draw in LossStates(model, trace, seed=0, limit=limit, exhaustive=exhaustive):
        yield walk.at(draw.moment).state(draw.kept)


@st.composite
def small_runs(draw: st.DrawFn, steps_max: int = 6) -> Script:
    """Draw a few steps on one or two files below the root, for a brute force to look at."""
    script = Script()
    names = {b"a": script.create(b"a")}
    for number in range(draw(st.integers(0, steps_max))):
        name = draw(st.sampled_from(sorted(names)))
        other = b"b" if name == b"a" else b"a"
        data = bytes([ord("A") + number])
        action = draw(st.sampled_from([*CHANGES, "append", "rename", "rename", "create or unlink"]))
        if action in CHANGES:
            CHANGES[action](script, names[name], data)
        elif action == "rename":
            script.rename(name, other)
            names[other] = names.pop(name)
        elif other in names:
            script.unlink(other)
            del names[other]
        else:
            names[other] = script.create(other, data * 10)
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
