"""Ways to a state: what the kernel may do of its own accord while a run goes on, to lose just this.

Nothing makes a kernel lose what it would keep. But it writes pages early, commits its log, and is
late with both, whenever it likes; so here it likes it at the places at which the state can come of
it. Whether it does is the kernel's, and some of it a race: hence several ways, again and again.

- What the state kept of a file is written back right behind the call, waited for or just begun.
- The log is committed before the first change of names or sizes that the state lost.
- A write of which the state kept some pages is made page by page: what one call writes the kernel
  may hold as one, if it has the memory for that, and then writes back as one.
- The device is busy when pages that the state lost are written back, so that a commit comes first.
- The cut comes before, or right behind, the sync during which the state is one.
- Now and then pages and log are written wherever chance has it.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from durability.confirmation.reenactment import Act, Close
from durability.crash.moment import CrashState
from durability.crash.operations import Data, Grow, Names, Stale
from durability.crash.splitting import SYNCHRONOUS
from durability.crash.storage import pages
from durability.crash.validation.script import Burden, Commit, WriteBack
from durability.trace.records import AnyRecord, Sync, SyncAll, Write

_DISTURBED_RECORDS: Final = 20
"""How far before the cut chance has its say: what was done long before is mostly synced."""
_DISTURBED_SHARE: Final = 0.3
_COMMITTED_SHARE: Final = 0.3
_WAITED_SHARE: Final = 0.5


class _Way(NamedTuple):
    """How to go: whether to commit, to wait for pages that are written back; None for no pages.

    `by_pages` makes writes page by page of which not all pages were kept; `burdens` keeps the
    device busy from the last write on that the state lost something of.
    """

    commits: bool
    waits: bool | None
    by_pages: bool = False
    burdens: bool = False


_WAYS: Final = (
    _Way(commits=True, waits=True),
    _Way(commits=True, waits=True, by_pages=True),
    _Way(commits=True, waits=False),
    _Way(commits=True, waits=None),
    _Way(commits=False, waits=True),
    _Way(commits=False, waits=None),
    _Way(commits=False, waits=None, burdens=True),
)


class Provocation:
    """Ways to one state; `calls` perform the records of its run."""

    def __init__(
        self, state: CrashState, records: Sequence[AnyRecord], calls: Sequence[list[Act]]
    ) -> None:
        self._calls = calls[: state.cut]
        self._during_sync = state.cut > 0 and _is_sync(records[state.cut - 1])
        logged = (one.record for one in state.lost if isinstance(one, Names) or one.joins)
        self._commit_at = min(logged, default=state.cut)
        self._pages: defaultdict[int, list[WriteBack]] = defaultdict(list)
        self._sizes: defaultdict[int, list[WriteBack]] = defaultdict(list)
        for one in state.persisted:
            if isinstance(one, Data) and not isinstance(one, Stale):
                written = WriteBack(one.file, one.offset, len(one.data))
                self._pages[one.record].append(written)
            elif isinstance(one, Grow) and one.size:
                # A block is allocated when it is written; that the size is faster is a race.
                written = WriteBack(one.file, one.size - 1, 1, waits=False)
                self._sizes[one.record].append(written)
        lost = {one.record for one in state.lost if isinstance(one, Data)}
        self._kept_in_part = lost & self._pages.keys()
        self._burden_behind = max(lost, default=None)

    def ways(self, chance: random.Random) -> Iterator[list[Act]]:
        """Yield calls behind whose last the power is to be cut; without end."""
        while True:
            for way in _WAYS:
                if not self._makes_a_difference(way):
                    continue
                yield self._directed(way, len(self._calls))
                if self._during_sync:
                    yield self._directed(way, len(self._calls) - 1)
            yield self._disturbed(chance)

    def _makes_a_difference(self, way: _Way) -> bool:
        if way.burdens:
            return self._burden_behind is not None
        return not way.by_pages or bool(self._kept_in_part)

    def _directed(self, way: _Way, cut: int) -> list[Act]:
        acts: list[Act] = []
        for number, calls in enumerate(self._calls[:cut]):
            if way.commits and number == self._commit_at:
                acts.append(Commit())
            if way.by_pages and number in self._kept_in_part:
                acts += self._page_by_page(calls, number)
            else:
                further = self._written_behind(number, way.waits)
                if way.burdens and number == self._burden_behind:
                    further.append(Burden())
                acts += _before_closing(calls, further)
        if way.commits and self._commit_at >= cut:
            acts.append(Commit())
        return acts

    def _page_by_page(self, calls: list[Act], number: int) -> Iterator[Act]:
        """Yield the calls of a write cut into pages, with what was kept written back at once."""
        for call in calls:
            if not isinstance(call, Write):
                yield call
                continue
            for start, end in pages(call.offset, len(call.data)):
                piece = call.data[start - call.offset : end - call.offset]
                yield msgspec.structs.replace(call, offset=start, data=piece, asked=len(piece))
                yield from (one for one in self._pages[number] if start <= one.offset < end)

    def _written_behind(self, number: int, waits: bool | None) -> list[Act]:
        match waits:
            case None:
                return []
            case True:
                return [*self._pages[number]]
            case False:
                begun = [
                    WriteBack(page.file, page.offset, page.length, waits=False)
                    for page in self._pages[number]
                ]
                return [*begun, *self._sizes[number]]

    def _disturbed(self, chance: random.Random) -> list[Act]:
        acts: list[Act] = []
        for left, calls in zip(range(len(self._calls), 0, -1), self._calls, strict=True):
            disturbed = left <= _DISTURBED_RECORDS and chance.random() < _DISTURBED_SHARE
            acts += _before_closing(calls, [_disturbance(calls, chance)] if disturbed else [])
        return acts


def _is_sync(record: AnyRecord) -> bool:
    """Tell whether a state during a record's call is one of a sync that has not come to its end."""
    match record:
        case Sync() | SyncAll():
            return True
        case Write(flags=flags):
            return bool(flags & SYNCHRONOUS)
        case _:
            return False


def _disturbance(calls: list[Act], chance: random.Random) -> Act:
    """Return what the kernel may do behind calls: write a page of what they wrote, or commit."""
    written = [act for act in calls if isinstance(act, Write)]
    if not written or chance.random() < _COMMITTED_SHARE:
        return Commit()
    start, end = chance.choice([*pages(written[0].offset, len(written[0].data))])
    return WriteBack(written[0].file, start, end - start, chance.random() < _WAITED_SHARE)


def _before_closing(calls: list[Act], further: list[Act]) -> list[Act]:
    """Put something between a record's calls and the closing of its file."""
    closing = [call for call in calls if isinstance(call, Close)]
    return [*(call for call in calls if not isinstance(call, Close)), *further, *closing]
