"""A model against its file system: cut after cut, none of which the model may fail to explain.

Half of the runs are random, half those of the axioms in turn. After any step the kernel is made to
do what it may do at any time: write some pages early, or commit its log.
"""

import errno
import os
import random
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Final

import msgspec

from durability.crash.content import Content
from durability.crash.models import Model
from durability.crash.plan import Plan
from durability.crash.validation.axioms import AXIOMS
from durability.crash.validation.file_system import Kind, LoopFileSystem
from durability.crash.validation.performance import Performance
from durability.crash.validation.script import KernelStep, Step
from durability.crash.validation.workload import Workload
from durability.trace.records import Allocate, AnyRecord, Output, shown
from durability.trace.trace import Trace
from durability.trace.tree import names_below

FILE_SYSTEMS: Final[dict[str, tuple[Kind, str]]] = {
    "ext4-ordered": ("ext4", ""),
    "ext4-dioread_lock": ("ext4", "dioread_lock"),
    "ext4-noauto-da-alloc": ("ext4", "noauto_da_alloc"),
    "ext4-writeback": ("ext4", "data=writeback,noauto_da_alloc"),
    "ext4-datajournal": ("ext4", "data=journal"),
    "xfs": ("xfs", ""),
    "btrfs": ("btrfs", ""),
}
"""The models that a kernel can judge, with the mount options that they are about."""

_STEPS_MIN: Final = 3
_STEPS_MAX: Final = 14
_CUTS_A_FILE_SYSTEM: Final = 100
_DISTURBED_SHARE: Final = 0.4
_PROMISE: Final = b"end\n"
_NOT_SUPPORTED: Final = (errno.EOPNOTSUPP, errno.EINVAL)


class Unexplained(msgspec.Struct, frozen=True):
    """A state that a model does not permit, found after the power was cut at the end of a run."""

    seed: str
    records: list[str]
    found: list[str]


class Judgement(msgspec.Struct, frozen=True):
    """What the cuts of one file system said of its model.

    `shown` counts for each axiom that was tried how often its harm was found; `missing` are those
    that the model permits and that were never found, `untried` those that no run was about.
    `cut_short` runs ended before a call that the file system does not have.
    """

    model: str
    cuts: int
    shown: dict[str, int]
    unexplained: list[Unexplained]
    cut_short: int

    @property
    def missing(self) -> list[str]:
        """The names of the axioms whose harm the model permits and no cut has shown."""
        permitted = (axiom.name for axiom in AXIOMS if self.model in axiom.shown_by)
        return [name for name in permitted if self.shown.get(name) == 0]

    @property
    def untried(self) -> list[str]:
        """The names of the axioms that none of the cuts was about: there were too few of them."""
        return [axiom.name for axiom in AXIOMS if axiom.name not in self.shown]


def judge(model: str, cuts: int, seed: int, directory: str) -> Judgement:
    """Cut the power so often, on file systems mounted below an existing directory."""
    kind, options = FILE_SYSTEMS[model]
    shown: Counter[str] = Counter()
    unexplained: list[Unexplained] = []
    cut_short = 0
    for first in range(0, cuts, _CUTS_A_FILE_SYSTEM):
        with LoopFileSystem(kind, options, directory) as file_system:
            for number in range(first, min(cuts, first + _CUTS_A_FILE_SYSTEM)):
                cut = _Cut(file_system, f"{seed}/{number}")
                if number % 2:
                    trace, content = cut.of(Workload(cut.chance).records(cut.steps))
                else:
                    axiom = AXIOMS[number // 2 % len(AXIOMS)]
                    trace, content = cut.of(iter(axiom.script().steps), calm=True)
                    shown[axiom.name] += axiom.is_shown(content)
                cut_short += cut.cut_short
                plan = Plan(Model.named(model), trace)
                if plan.explain(content, len(_PROMISE)) is None:
                    records = [str(record) for record in trace.records]
                    unexplained.append(Unexplained(cut.seed, records, _told(content)))
                file_system.clear()
    return Judgement(model, cuts, dict(shown), unexplained, cut_short)


class _Cut:
    """One run on a file system, and what a power cut at its end leaves there."""

    def __init__(self, file_system: LoopFileSystem, seed: str) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.steps = self.chance.randint(_STEPS_MIN, _STEPS_MAX)
        self.cut_short = False
        self._file_system = file_system

    def of(self, steps: Iterator[Step], *, calm: bool = False) -> tuple[Trace, Content]:
        """Perform steps, cut the power, and recover. A `calm` kernel acts at the end only."""
        records: list[AnyRecord] = []
        with Performance(self._file_system) as performance:
            for step in steps:
                try:
                    performance.perform(step)
                except OSError as error:
                    if not isinstance(step, Allocate) or error.errno not in _NOT_SUPPORTED:
                        raise
                    self.cut_short = True  # not every file system has every mode of fallocate(2)
                    break
                if not isinstance(step, KernelStep):
                    records.append(step)
                if not calm and self.chance.random() < _DISTURBED_SHARE:
                    performance.perform_on_its_own(self.chance)
            if calm and self.chance.random() < _DISTURBED_SHARE:
                performance.perform_on_its_own(self.chance)
            self._file_system.cut_power()
        self._file_system.recover()
        return Trace([], [*records, Output(_PROMISE)]), _found(os.fsencode(self._file_system.root))


def _found(root: bytes) -> Content:
    files, links, directories = names_below(root)
    contents = {}
    for path in files:
        with open(os.path.join(root, path), "rb") as file:
            contents[path] = file.read()
    return Content(contents, links, frozenset(directories))


def _told(content: Content) -> list[str]:
    """Say what is there: of each file the runs of equal bytes."""
    files = [
        f"{shown(path)}: "
        + " ".join(f"{len(list(run))} x {byte:#04x}" for byte, run in groupby(data))
        for path, data in sorted(content.files.items())
    ]
    links = [f"{shown(path)} -> {shown(target)}" for path, target in sorted(content.links.items())]
    return [*files, *links, *(f"{shown(path)}/" for path in sorted(content.directories))]
