"""What the turns of a crash campaign have in common, and what came of each."""

from typing import Final, Literal

import msgspec

from durability.audit.promises import Heard
from durability.audit.violation import Violation
from durability.crash.content import Content
from durability.crash.kill_points import WriteStream
from durability.targets.contract import Tear
from durability.trace.kill_order import KillOrder
from durability.trace.supervisor import Run

FROM_COARSE_TO_FINE: Final[tuple[Tear, ...]] = ("none", "page", "byte")
"""The tears, in the order in which a finding gets less realistic."""


Mechanism = Literal["seccomp", "timer"]
"""Exact positions of the write stream, or whatever moment the clock gives."""


def is_coarser(tear: Tear, than: Tear) -> bool:
    """Tell whether a tear is more realistic than another."""
    return FROM_COARSE_TO_FINE.index(tear) < FROM_COARSE_TO_FINE.index(than)


class Found(msgspec.Struct, frozen=True):
    """A violation, the coarsest tear that shows it, and the folder it is kept in, if it is.

    `where` says more of the kill where that was not one of a first run.
    """

    violation: Violation
    tear: Tear
    folder: str | None = None
    where: str = ""


class Cycle(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The result of one kill.

    `number` is its turn's place in the campaign, `link` its place in the turn. `redrawn` counts
    drawn positions that the run did not reach. Where the kill did not land, `why` says so and
    nothing was judged. `digest` is that of what it left on disk. `recovery_killed` says that the
    recovery was killed as well, and what that left recovered and judged.
    """

    number: int
    link: int = 0
    redrawn: int = 0
    landed: bool = False
    why: str = ""
    offset: int = 0
    calls: int = 0
    torn: bool = False
    digest: bytes = b""
    acknowledged: int = 0
    lost: int = 0
    recovery_killed: bool = False
    found: list[Found] = []
    faults: list[str] = []
    notes: list[str] = []


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the turns of one campaign have in common.

    `target_name` is what the user called the target by. With the mechanism `timer`, positions are
    microseconds of a run, see `timed_kill`. Data directories are made in `directory`, violations
    kept in `findings`. The run without a kill is followed for `measuring_s`, a run with one for
    `deadline_s` at most. `at` orders every kill to one position instead of drawing it. A turn has
    up to `links` kills, each of a run on what the one before left; with `in_recovery` each recovery
    is killed too. Both need exact kills.
    """

    target_name: str
    seed: int
    mechanism: Mechanism
    tear: Tear
    directory: str
    findings: str
    measuring_s: float = 5.0
    deadline_s: float = 30.0
    at: KillOrder | None = None
    links: int = 1
    in_recovery: bool = False


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A run without a kill.

    Its write stream, the items that it announced, the kinds of violation that it shows although
    nothing was killed, the `faults` for which no campaign on it can be called held, and `notes`.
    """

    stream: WriteStream
    announced: frozenset[str]
    violated: frozenset[str]
    faults: list[str]
    notes: list[str]


class Start(msgspec.Struct, frozen=True):
    """What a process is started on: a fresh directory, or what earlier kills left.

    `killed` says whether a run is to be killed there or a recovery.
    """

    heard: list[Heard] = []
    content: Content | None = None
    killed: Literal["run", "recovery"] = "run"
    where: str = ""

    def then(self, run: Run) -> list[Heard]:
        """Return what has been heard once this run is over."""
        return [*self.heard, Heard(self.killed, list(run.trace.lines()))]
