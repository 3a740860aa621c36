"""What is fuzzed: one module a target, with the laws that its inputs must obey.

Each has `check(data)`, which holds one input against every law and imports no fuzzing engine, and
`TARGET`, which adds what a fuzzing run needs. They are imported by name, late: what is to be
instrumented must not have been imported before.
"""

import sys
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
    "commands": Instrumentation(
        ("raft.examples.fields", "raft.examples.kv", "raft.examples.queue"), 80
    ),
    "append_batch": Instrumentation(("raft.follower", "raft.log_entry"), 40),
    "node_steps": Instrumentation(("raft.member", "raft.follower", "raft.leader"), 250),
    "toml_target": Instrumentation(
        ("durability.targets.program", "durability.targets.description"), 60
    ),
    "history_file": Instrumentation(
        (
            "durability.history.reading",
            "durability.history.json_lines",
            "durability.history.jepsen",
            "durability.history.edn",
            "durability.history.event",
            "durability.history.well_formed",
        ),
        60,
    ),
    "trace_file": Instrumentation(("durability.trace.trace", "durability.trace.tree"), 65),
}


_MADE_OF_SUBJECTS: Final = (
    "fuzz.specification",
    "fuzz.damage",
    "fuzz.directories",
    "fuzz.disk",
    "fuzz.schedule",
)


def load(name: str) -> Target:
    """Import a target, and with it what it tests."""
    return cast(Target, import_module(f"fuzz.targets.{name}").TARGET)


def forget() -> None:
    """Have the next `load` import everything anew that reads bytes, or imports what does.

    Targets that are loaded already go on with what they have imported.
    """
    # Where a package stays, `from package import module` finds the old module in it.
    subjects = ("raft", "durability", "fuzz.targets.", *_MADE_OF_SUBJECTS)
    for module in [module for module in sys.modules if module.startswith(subjects)]:
        del sys.modules[module]


def invariant(name: str) -> str:
    """Return what a target tests, in a sentence: the first line of its module."""
    first_line = (import_module(f"fuzz.targets.{name}").__doc__ or "").partition("\n")[0]
    return first_line.removeprefix("Invariant tested: ")
