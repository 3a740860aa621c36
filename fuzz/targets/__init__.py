"""What is fuzzed: one module a target, with the laws that its inputs must obey.

Each has `check(data)`, which holds one input against every law and imports no fuzzing engine, and
`TARGET`, which adds what a fuzzing run needs. They are imported by name, late: what is to be
instrumented must not have been imported before.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Final, cast

from fuzz.target import Target


@dataclass(frozen=True)
class Instrumentation:
    """Which modules guide a fuzzing run, and the least coverage that a good one reaches.

    The floor is below what the committed corpus covers by itself, and above what inputs reach that
    are refused at once: a run that stays below it has not tested what it should.
    """

    modules: tuple[str, ...]
    coverage_floor: int


TARGETS: Final = {
    "message": Instrumentation(("raft.message",), 20),
    "log_entry": Instrumentation(("raft.log_entry",), 12),
    "peer": Instrumentation(("raft.peer",), 12),
    "peer_list": Instrumentation(("raft.peer",), 18),
    "metadata": Instrumentation(("raft.metadata", "raft.preamble"), 22),
    "segment": Instrumentation(("raft.segment", "raft.preamble"), 45),
    "snapshot": Instrumentation(("raft.snapshot", "raft.preamble"), 42),
    "config": Instrumentation(("raft.config",), 24),
    "recovery": Instrumentation(("raft.recovery", "raft.segment"), 110),
}


def load(name: str) -> Target:
    """Import a target, and with it what it tests."""
    return cast(Target, import_module(f"fuzz.targets.{name}").TARGET)


def invariant(name: str) -> str:
    """Return what a target tests, in a sentence: the first line of its module."""
    first_line = (import_module(f"fuzz.targets.{name}").__doc__ or "").partition("\n")[0]
    return first_line.removeprefix("Invariant tested: ")
