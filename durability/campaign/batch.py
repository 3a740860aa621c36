"""Recovering contents one after another in one process, which was forked for that.

It vouches for all of them or for none: on the first that is anything but clean it raises, since
what has gone wrong in a shared process may be the fault of what ran there before.

In memory it tells what each recovery came to, and whoever asked judges that. On disk it judges
itself, as the judgement may be an audit of the target's own, which looks at the directory.
"""

import gc
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, repeat
from typing import TypeVar

import msgspec

from durability.audit.data_directory import DirectoryInMemory
from durability.audit.judgement import Judgement, Outcome, audit_before, judge, outcome_of
from durability.audit.promises import Promises
from durability.crash.content import Content
from durability.errors import InconclusiveError
from durability.recovery.asking import AskedFilesystem, Question
from durability.recovery.in_process import Recoveries
from durability.targets.contract import Call, Target

Case = tuple[Content, Sequence[Promises]]
"""What is on disk, and each of the promises that it is to be judged against."""

Files = Mapping[str, bytes]
"""A directory in memory, by name."""

Value = TypeVar("Value")


class UncertainError(InconclusiveError):
    """A recovery in a shared process broke a promise, or seems to have."""


def recovers_in_memory(target: Target) -> bool:
    """Tell whether nothing but recovery itself looks at what it recovers, and memory will do."""
    return target.recover_in_memory is not None and target.audit is None


class _Told(msgspec.Struct, frozen=True, array_like=True):
    """What came of the contents: for each, its place among the outcomes, and among what was asked.

    Neighbouring states mostly recover to the same.
    """

    places: list[tuple[int, int]]
    outcomes: list[Outcome]
    asked: list[tuple[Question, ...]]


def recover_in_memory(target: Target, contents: Iterable[Files]) -> None:
    """Print what comes of each content, in their order, as `told` reads it.

    To be called in a process of its own. Raises whatever a recovery raises, and LeftBehindError
    where one was not clean.
    """
    recover = target.recover_in_memory
    assert recover is not None
    gc.disable()  # it ends soon; and looking for garbage would copy all that was inherited
    recoveries = Recoveries(target)
    outcomes: dict[bytes, Outcome] = {}
    asked: dict[tuple[Question, ...], None] = {}
    places: list[tuple[bytes, tuple[Question, ...]]] = []
    for files in contents:
        filesystem = AskedFilesystem(files)
        before = audit_before(target, DirectoryInMemory("memory", filesystem.files()))
        recovery = recoveries.run(partial(recover, filesystem))
        after = DirectoryInMemory("memory", filesystem.files())
        outcome = _without_notes(outcome_of(after, before, recovery))
        places.append((msgspec.msgpack.encode(outcome), filesystem.questions))
        outcomes.setdefault(places[-1][0], outcome)
        asked.setdefault(places[-1][1])
    recoveries.check_nothing_is_left()
    outcome_at, asked_at = _places(outcomes), _places(asked)
    told = _Told(
        [(outcome_at[outcome], asked_at[questions]) for outcome, questions in places],
        list(outcomes.values()),
        list(asked),
    )
    _print(recoveries, msgspec.msgpack.encode(told))


def told(printed: bytes) -> Iterator[tuple[Outcome, tuple[Question, ...]]]:
    """Return what `recover_in_memory` has printed: outcomes, and what was asked on the way."""
    found = msgspec.msgpack.decode(printed, type=_Told)
    for outcome, asked in found.places:
        yield found.outcomes[outcome], found.asked[asked]


def vouch(target: Target, directory: str, cases: Iterable[Case]) -> None:
    """Print the judgements, one for each of the promises in their order, as `vouched` reads them.

    To be called in a process of its own. Recovers in `directory`, which does not exist. Raises
    whatever a recovery raises, and UncertainError or LeftBehindError where one was not clean.
    """
    gc.disable()
    recoveries = Recoveries(target)
    judgements = (
        judgement for case in cases for judgement in _judge(target, directory, recoveries, *case)
    )
    runs = [(len(list(run)), judgement) for judgement, run in groupby(judgements)]
    recoveries.check_nothing_is_left()
    _print(recoveries, msgspec.msgpack.encode(runs))


def vouched(printed: bytes) -> Iterator[Judgement]:
    """Return what `vouch` has printed."""
    for count, judgement in msgspec.msgpack.decode(printed, type=list[tuple[int, Judgement]]):
        yield from repeat(judgement, count)


def _without_notes(outcome: Outcome) -> Outcome:
    """Return an outcome without what nobody judges, and what makes many of few."""
    for audit in (outcome.before, outcome.after):
        if audit is not None:
            audit.notes.clear()
    return outcome


def without_items(judgement: Judgement) -> Judgement:
    """Return a judgement without what was recovered, of which there may be much."""
    return msgspec.structs.replace(judgement, recovered=[])


def _judge(
    target: Target,
    directory: str,
    recoveries: Recoveries,
    content: Content,
    promises: Sequence[Promises],
) -> Iterator[Judgement]:
    """Recover a content once, and yield the judgement against each of the promises."""
    launch = target.recovery(directory)
    assert isinstance(launch, Call)
    os.mkdir(directory, 0o700)
    content.write_to(os.fsencode(directory))
    before = audit_before(target, directory)
    recovery = recoveries.run(launch.function)
    for promised in promises:
        judgement = judge(target, promised, directory, before, recovery)
        if not judgement.is_clean:
            raise UncertainError("a violation, or a fault")
        yield without_items(judgement)
    shutil.rmtree(directory)


def _places(values: Iterable[Value]) -> dict[Value, int]:
    return {value: place for place, value in enumerate(values)}


def _print(recoveries: Recoveries, data: bytes) -> None:
    with open(recoveries.stdout, "wb") as stdout:
        stdout.write(data)
