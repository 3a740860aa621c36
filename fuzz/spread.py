"""Spreading independent pieces of work over processes of this machine."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from durability.campaign.workers import Work, Workers

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def spread(
    items: Sequence[Item],
    work: Callable[[Item], Outcome],
    outcome: type[Outcome],
    jobs: int,
    until: float | None,
) -> Iterator[Outcome]:
    """Yield what becomes of each item, in the order they are done; none begins after `until`.

    The processes are forked here, so what the work needs is there; an `outcome` is what msgspec can
    take from one process to another. What the work raises is raised here.
    """

    @contextmanager
    def start(_: int) -> Iterator[Work]:
        yield lambda number: msgspec.json.encode(work(items[int(number)]))

    with Workers(min(jobs, len(items)), start) as workers:
        for done in workers.map((b"%d" % number for number in range(len(items))), until):
            yield msgspec.json.decode(done, type=outcome)
