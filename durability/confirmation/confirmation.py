"""Whether a finding is real: the run is performed on the file system, and the power is cut there.

course -> file system -> power cut -> recovery -> audit

A finding is confirmed where the target, started on what the cut left, breaks the same kind of
guarantee; that may be another state than the one explored. It must do so each time that this is
recovered: what breaks now and then, whatever it finds, has lost nothing. **And it must not without
the cut**: the same calls on the same file system, unmounted instead, must leave what recovers, as
often as there were cuts to show it. So neither the file system as such nor a run performed wrongly
is taken for a lost write.
"""

import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from durability.audit.judgement import Judgement
from durability.campaign.course import Course
from durability.campaign.crash_cycle import recover_and_judge
from durability.campaign.loss_finding import Told
from durability.campaign.workers import run_alone
from durability.confirmation.provocation import Provocation
from durability.confirmation.reenactment import Act, Reenactment, perform
from durability.crash.moment import CrashState
from durability.crash.validation import kernel
from durability.crash.validation.file_system import LoopFileSystem, unavailable
from durability.crash.validation.judge import FILE_SYSTEMS
from durability.crash.validation.performance import Performance
from durability.errors import DurabilityError
from durability.report.crash_state import LossViolation
from durability.targets.contract import Target
from durability.trace import system
from durability.trace.records import SyncAll
from durability.trace.spawn import raise_descriptor_limit
from durability.trace.tree import Tree

CUTS_MAX: Final = 40
"""How many cuts of one file system a finding gets."""

REPEATS: Final = 5
"""How often what a cut left is recovered again, and how many runs have no cut at the least.

What breaks at a rate p, whatever the cut left, is confirmed at the n-th cut with the chance
p^6 (1 - p)^(n - 1 + max(n, 5)): over all cuts less than 1 in 1,000, whatever p is.
"""

_PLACE_S: Final = 30.0
"""After which time no further cut of one file system is made."""

_THREAD: Final = 0


class Confirmed(msgspec.Struct, frozen=True):
    """Findings with what became of them on real file systems; `notes` say why some have not."""

    findings: list[Told]
    notes: list[str]


class _Outcome(msgspec.Struct, frozen=True):
    """What the cuts of one file system left; `broke` says whether one of them confirmed it."""

    broke: bool
    text: str


def impossible(models: Sequence[str]) -> str | None:
    """Say why none of the models' file systems can be made here; None where one can.

    None too where they have none: what they permit may be found under a model that has one.
    """
    kinds = dict.fromkeys(FILE_SYSTEMS[name][0] for name in models if name in FILE_SYSTEMS)
    reasons = [why for kind in kinds if (why := unavailable(kind)) is not None]
    return "; ".join(dict.fromkeys(reasons)) if reasons and len(reasons) == len(kinds) else None


def confirm(
    target: Target, later: frozenset[str], found: list[tuple[Course, Told]], directory: str
) -> Confirmed:
    """Try to bring about each finding of a course; mount below an existing directory.

    `later` as for `Ledger`. Raises OSError without root.
    """
    harness = os.getpid()

    def work(control: int) -> bytes:
        del control
        # Mounts go with the last process that has them, so none of ours may outlive the harness.
        system.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() != harness:
            os.kill(os.getpid(), signal.SIGKILL)
        kernel.enter_private_mounts()
        raise_descriptor_limit()
        notes: list[str] = []
        told: list[Told] = []
        confirmation: _Confirmation | None = None
        for course, finding in found:
            if confirmation is None or confirmation.course is not course:
                confirmation = _Confirmation(target, course, later, directory)
            told.append(confirmation.of(finding, notes))
        return msgspec.msgpack.encode(Confirmed(told, notes))

    return msgspec.msgpack.decode(run_alone(work), type=Confirmed)


class _Confirmation:
    """Attempts at the findings of one course."""

    def __init__(
        self, target: Target, course: Course, later: frozenset[str], directory: str
    ) -> None:
        self.course = course
        self._target = target
        self._later = later
        self._directory = directory
        self._reenactment = Reenactment(course.trace)
        self._shown: defaultdict[str, set[str]] = defaultdict(set)

    def of(self, finding: Told, notes: list[str]) -> Told:
        """Return a finding with where it was confirmed; add to the notes where it was not."""
        violation = finding.violation
        if violation.strongest_model not in FILE_SYSTEMS:
            notes.append(f"{violation.kind} {_not_for_a_file_system(violation)}")
            return finding
        confirmed: list[str] = []
        for name in filter(FILE_SYSTEMS.__contains__, finding.models):
            outcome = self._at(name, finding)
            if outcome.broke:
                confirmed.append(_called(name))
            else:
                where = f"{_called(name)}, {_kernel()}"
                notes.append(f"{violation.kind} is not confirmed on {where}: {outcome.text}")
        if not confirmed:
            return finding
        text = f"{', '.join(confirmed)}, {_kernel()}"
        violation = msgspec.structs.replace(
            violation, message=f"{violation.message}; confirmed: {text}", confirmed=text
        )
        return msgspec.structs.replace(finding, violation=violation)

    def _at(self, name: str, finding: Told) -> _Outcome:
        """Cut the power of one file system until the kind is shown or the cuts are used up."""
        if finding.violation.kind in self._shown[name]:
            return _Outcome(broke=True, text="")  # the cut that showed another has shown it
        kind, options = FILE_SYSTEMS[name]
        why_not = unavailable(kind)
        if why_not is not None:
            return _Outcome(broke=False, text=why_not)
        left: Counter[str] = Counter()
        try:
            with LoopFileSystem(
                kind, options, self._directory, self._reenactment.room_bytes
            ) as file_system:
                return self._on(file_system, name, finding, left)
        except (DurabilityError, OSError) as error:
            return _Outcome(broke=False, text=f"{_counted(left)}then {error}")

    def _on(
        self, file_system: LoopFileSystem, name: str, finding: Told, left: Counter[str]
    ) -> _Outcome:
        """Make the cuts, and the controls of the one that shows the kind; count what they left."""
        kind = finding.violation.kind
        until = time.monotonic() + _PLACE_S
        states = [scene.state(self.course) for scene in finding.scenes(name)]
        for state, acts in self._attempts(states, f"{name}/{kind}"):
            if left.total() == CUTS_MAX or time.monotonic() >= until:
                break
            self._perform(acts, file_system, cut=True)
            file_system.keep()
            judgement = self._judged(state, file_system)
            left[_said_of(judgement)] += 1
            kinds = _kinds(judgement)
            if kind not in kinds:
                continue
            for _ in range(REPEATS):
                file_system.restore()
                kinds &= _kinds(self._judged(state, file_system))
            if kind not in kinds:
                text = f"{_counted(left)}recovered again, that does not show it each time"
                return _Outcome(broke=False, text=text)
            for _ in range(max(left.total(), REPEATS)):
                self._perform(acts, file_system, cut=False)
                kinds -= _kinds(self._judged(state, file_system))
                if kind not in kinds:
                    return _Outcome(broke=False, text="it is shown there without any cut too")
            self._shown[name] |= kinds
            return _Outcome(broke=True, text="")
        late = "" if left.total() == CUTS_MAX else ", then time was up"
        return _Outcome(broke=False, text=f"{_counted(left)}none of them showed it{late}")

    def _attempts(
        self, states: Sequence[CrashState], seed: str
    ) -> Iterator[tuple[CrashState, list[Act]]]:
        """Yield ways to the states in turn, without end."""
        chance = random.Random(seed)
        provocations = [
            Provocation(state, self.course.trace.records, self._reenactment.calls)
            for state in states
        ]
        ways = [provocation.ways(chance) for provocation in provocations]
        for turn in zip(*ways, strict=True):
            yield from zip(states, turn, strict=True)

    def _perform(self, acts: list[Act], file_system: LoopFileSystem, *, cut: bool) -> None:
        """Perform a course in an empty root, cut the power or unmount, and mount what is left."""
        file_system.clear()
        Tree(self.course.trace.initial).write_to(os.fsencode(file_system.root))
        with Performance(file_system) as performance:
            perform([SyncAll(_THREAD), *acts], performance)
            if cut:
                file_system.cut_power()
        if cut:
            file_system.recover()
        else:
            file_system.remount()

    def _judged(self, state: CrashState, file_system: LoopFileSystem) -> Judgement:
        """Recover what is there, and judge it by what was promised in a state."""
        heard = self.course.heard(state.acknowledged_bytes)
        return recover_and_judge(self._target, heard, file_system.root, self._later)


def _not_for_a_file_system(violation: LossViolation) -> str:
    """Say why no file system is asked."""
    if violation.strongest_model == "prefix":
        return "needs no power cut to be confirmed: a kill shows it"
    return f"cannot be confirmed: no file system shows it, only {violation.strongest_model} does"


def _called(name: str) -> str:
    """Return the file system that a model is of, with its mount options."""
    return " ".join(filter(None, FILE_SYSTEMS[name]))


def _kernel() -> str:
    """Return the version of this kernel, as far as it matters: its first two numbers."""
    return f"kernel {'.'.join(os.uname().release.split('.')[:2])}"


def _kinds(judgement: Judgement) -> set[str]:
    return {violation.kind for violation in judgement.violations}


def _said_of(judgement: Judgement) -> str:
    """Say in a word what a cut has left."""
    if judgement.violations:
        return f"what breaks {', '.join(sorted(_kinds(judgement)))}"
    return "what shows nothing" if judgement.faults else "what was promised"


def _counted(left: Counter[str]) -> str:
    parts = ", ".join(f"{count} left {what}" for what, count in left.items())
    return f"of {left.total()} cuts {parts}; " if left else ""
