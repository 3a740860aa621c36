"""What a data directory holds after whatever happened to it: docs/formats.md, 'Recovery'.

In: a locked directory. Out: its metadata, its snapshot, its log, and what had to be dropped. All
verdicts are reached before anything but left-over temporaries is changed, and every change made
here may itself be cut short by a crash: the next recovery comes to the same result.
"""

import dataclasses
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal

from raft.errors import CorruptionError, UnsupportedFormatError, WrongDirectoryError
from raft.filesystem import Filesystem, read_all
from raft.log_entry import LogEntry
from raft.metadata import INCOMPLETE, METADATA_MAGIC, METADATA_NAME, Metadata
from raft.preamble import begins_with, checksum_seed
from raft.segment import (
    RECORD_BYTES,
    SEGMENT_MAGIC,
    Flaw,
    Segment,
    Tail,
    largest_claim,
    read_segment,
    segment_first_index,
    segment_name,
)
from raft.snapshot import SNAPSHOT_MAGIC, SNAPSHOT_NAME, Snapshot

# What a directory of raft.cr has as long as `raft.upgrade` is not done with it.
OLD_METADATA_NAME = "raft_meta"


@dataclass(frozen=True, slots=True)
class Recovery:
    """What recovery found at the end of the log.

    `tail` is clean where nothing was dropped; torn where the file ended inside of what was being
    written; ambiguous where the last batch was complete in length and wrong in content, which may
    be an unfinished write or rot; corrupt where something durable was lost and given up, for a
    leader to replace. `reason` says what was wrong, empty for a clean tail.
    """

    tail: Literal["clean", "torn", "ambiguous", "corrupt"] = "clean"
    dropped_bytes: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the directory holds: the arguments of a `Log`, and what is beside it."""

    metadata: Metadata
    snapshot: Snapshot | None
    segments: list[int]
    entries: list[LogEntry]
    last_crc: int
    recovery: Recovery


@dataclass(slots=True)
class _Survey:
    """The segments in order, up to and with the first that has a flaw, which it ends at.

    `tail` is where the good part ends, as a log and at `end` in the file `path`. `durable_index` is
    the largest one that is claimed anywhere, behind the flaw too.
    """

    tail: Tail
    path: str
    durable_index: int
    segments: list[Segment] = field(default_factory=list)
    end: int = 0
    flaw: Flaw | None = None
    dropped_bytes: int = 0


def recover(
    filesystem: Filesystem, group_id: int, node_id: int, *, repair: bool
) -> Recovered | None:
    """Bring a locked directory into a state to go on from, and read it; None where it is fresh.

    With `repair`, a damaged log or snapshot is given up from where it is damaged, and the metadata
    says so: see `_give_up`.

    Raises:
        WrongDirectoryError: it belongs to another node or group.
        UnsupportedFormatError: a later version wrote it, or raft.cr. Nothing was changed.
        CorruptionError: something that was durable cannot be read, and cannot be repaired or is not
            to be. Nothing was changed.
    """
    _refuse_other_formats(filesystem)
    _remove_temporaries(filesystem)
    names = set(filesystem.names())
    firsts = sorted(first for name in names if (first := segment_first_index(name)) is not None)
    if METADATA_NAME not in names:
        if firsts or SNAPSHOT_NAME in names:
            path = filesystem.path(METADATA_NAME)
            raise CorruptionError(path, 0, None, "it is missing, and there is a log or a snapshot")
        return None
    metadata = Metadata.read(filesystem)
    if (metadata.group_id, metadata.node_id) != (group_id, node_id):
        raise WrongDirectoryError(
            f"{filesystem.path()} belongs to node {metadata.node_id} of group {metadata.group_id}, "
            f"this is node {node_id} of group {group_id}"
        )
    snapshot, damage = _read_snapshot(filesystem, metadata, names, repair=repair)
    return _recover_log(filesystem, metadata, snapshot, firsts, damage, repair=repair)


def _refuse_other_formats(filesystem: Filesystem) -> None:
    """Look at how each file begins, before anything is changed: who wrote it may come back."""
    names = filesystem.names()
    if OLD_METADATA_NAME in names:
        raise UnsupportedFormatError(
            f"{filesystem.path()} is a directory of raft.cr, format version 1, or not wholly "
            "upgraded; call raft.upgrade.upgrade, and open it then"
        )
    magics = {METADATA_NAME: METADATA_MAGIC, SNAPSHOT_NAME: SNAPSHOT_MAGIC}
    magics |= {name: SEGMENT_MAGIC for name in names if segment_first_index(name) is not None}
    for name in magics.keys() & set(names):
        begins_with(filesystem, name, magics[name])


def _read_snapshot(
    filesystem: Filesystem, metadata: Metadata, names: Collection[str], *, repair: bool
) -> tuple[Snapshot | None, CorruptionError | None]:
    """Step 3. A snapshot that is to be repaired counts as none."""
    if SNAPSHOT_NAME not in names:
        return None, None
    try:
        return Snapshot.read(filesystem, metadata.directory_id), None
    except CorruptionError as error:
        if not repair:
            raise
        return None, error


def _remove_temporaries(filesystem: Filesystem) -> None:
    """Delete what was being written when the node died. What it was to replace is in place."""
    temporaries = {f"{METADATA_NAME}.tmp", f"{SNAPSHOT_NAME}.tmp"}.intersection(filesystem.names())
    for name in sorted(temporaries):
        filesystem.unlink(name)
    if temporaries:
        filesystem.sync()


def _recover_log(
    filesystem: Filesystem,
    metadata: Metadata,
    snapshot: Snapshot | None,
    firsts: list[int],
    damage: CorruptionError | None,
    *,
    repair: bool,
) -> Recovered:
    """Steps 4 to 7: read and judge everything, then change what has to be changed.

    `damage` is what is wrong with the snapshot, if it is to be repaired.
    """
    base = Tail(0, 0, checksum_seed(metadata.directory_id))
    if snapshot:
        base = dataclasses.replace(base, index=snapshot.index, term=snapshot.term)
    covered = sum(following <= base.index + 1 for following in firsts[1:])
    kept = firsts[covered:]
    survey = _survey(filesystem, metadata, base, kept)
    damage = damage or _corruption(survey, base.index)
    if damage and not repair:
        raise damage
    good = [first for first, segment in zip(kept, survey.segments, strict=False) if segment.end]
    entries = [entry for segment in survey.segments for entry in segment.entries]
    last = survey.tail
    if not _agrees(survey, base):
        good, entries, last = [], [], base
    _check_term(filesystem, metadata, last)

    if covered or len(good) < len(kept):
        # A kill may have come before the sync of a rename: what they go for must not go itself.
        filesystem.sync()
    if damage:
        metadata = _give_up(filesystem, metadata, snapshot)
    for first in firsts[:covered]:
        filesystem.unlink(segment_name(first))
    metadata = _lower_durable_index(filesystem, metadata, max(last.index, base.index))
    for first in reversed(kept[len(good) :]):
        filesystem.unlink(segment_name(first))
        filesystem.sync()
    if good:
        _settle(
            filesystem, segment_name(good[-1]), survey.segments[len(good) - 1], survey.durable_index
        )
    filesystem.sync()
    if good:
        del entries[: base.index + 1 - good[0]]
    verdict = _verdict(survey, damage)
    return Recovered(metadata, snapshot, good, entries, last.crc, verdict)


def _check_term(filesystem: Filesystem, metadata: Metadata, last: Tail) -> None:
    """Step 7: no term is in the log that was not durable before it."""
    if last.term > metadata.current_term:
        reason = f"its term is {metadata.current_term}, and the log ends in term {last.term}"
        raise CorruptionError(filesystem.path(METADATA_NAME), 40, None, reason)


def _lower_durable_index(filesystem: Filesystem, metadata: Metadata, last_index: int) -> Metadata:
    """Step 6: only a log that the snapshot replaces has ended below, and is not to be missed."""
    if metadata.is_complete and metadata.durable_index > last_index:
        metadata = dataclasses.replace(metadata, durable_index=last_index)
        metadata.write(filesystem)
    return metadata


def _give_up(filesystem: Filesystem, metadata: Metadata, snapshot: Snapshot | None) -> Metadata:
    """Repair: write down, before anything is removed, that the log lacks what was acknowledged.

    The node enters a term of its own, in which it has acknowledged nothing: a leader of that term
    or a later one, whose own entry is committed, has all that was lost. What comes from an earlier
    one, delayed, is refused.
    """
    term = metadata.current_term + 1
    metadata = dataclasses.replace(
        metadata, current_term=term, voted_for=None, durable_index=INCOMPLETE
    )
    metadata.write(filesystem)
    if snapshot is None and SNAPSHOT_NAME in filesystem.names():
        filesystem.unlink(SNAPSHOT_NAME)
    return metadata


def _survey(
    filesystem: Filesystem, metadata: Metadata, base: Tail, firsts: Iterable[int]
) -> _Survey:
    """Read the segments; `base` is where a log without any would end."""
    durable_index = metadata.durable_index if metadata.is_complete else 0
    survey = _Survey(base, filesystem.path(), max(durable_index, base.index))
    before: Tail | None = base
    for first in firsts:
        if not survey.segments and base.index > 0 and first <= base.index + 1:
            before = None
        name = segment_name(first)
        path = filesystem.path(name)
        data = read_all(filesystem, name)
        segment = read_segment(data, path, first, metadata.directory_id, before)
        survey.durable_index = max(survey.durable_index, segment.durable_index)
        if survey.flaw is None:
            survey.segments.append(segment)
            survey.tail, survey.path, survey.end = segment.tail, path, segment.end
            survey.flaw = segment.flaw
            survey.dropped_bytes = len(data) - segment.end
            before = None if segment.flaw else segment.tail
        else:
            survey.dropped_bytes += len(data)
        if survey.flaw and segment.flaw and survey.durable_index < survey.flaw.index:
            claim = largest_claim(
                data, segment.flaw.offset, metadata.directory_id, at_least=survey.flaw.index
            )
            survey.durable_index = max(survey.durable_index, claim)
    return survey


def _corruption(survey: _Survey, snapshot_index: int) -> CorruptionError | None:
    """Step 5: what is lost must lie above everything that was ever known to be durable."""
    flaw = survey.flaw
    if flaw is None:
        # What the snapshot stands for is not missing.
        index = max(survey.tail.index, snapshot_index) + 1
        reason = f"the log ends here, but index {survey.durable_index} was durable"
        flaw = Flaw(survey.end, index, reason, torn=False)
    if flaw.index > survey.durable_index:
        return None
    return CorruptionError(survey.path, flaw.offset, flaw.index, flaw.reason)


def _agrees(survey: _Survey, snapshot: Tail) -> bool:
    """Step 6: whether the log reaches the snapshot's index, and says of it what the snapshot does.

    What it says of the entry before its first one counts too.
    """
    if not survey.segments or survey.tail.index < snapshot.index:
        return survey.tail.index == snapshot.index
    before = survey.segments[0].before
    terms = [before.term]
    terms += [entry.term for segment in survey.segments for entry in segment.entries]
    return terms[snapshot.index - before.index] == snapshot.term


def _settle(filesystem: Filesystem, name: str, segment: Segment, durable_index: int) -> None:
    """Cut off what is not good, and make sure of the rest: nobody may have synced it.

    A process that was killed did not come to it. One whose sync failed has left pages that the
    kernel takes for clean and would never write: another sync alone is not to be believed, so what
    is not known to be durable is written once more, byte for byte in its place.
    """
    unsure = [entry for entry in segment.entries if entry.index > durable_index]
    offset = segment.end - sum(RECORD_BYTES + len(entry.data) for entry in unsure)
    if not segment.entries:
        offset = 0
    file = filesystem.open(name)
    try:
        if file.size() > segment.end:
            file.truncate(segment.end)
        if offset < segment.end:
            file.overwrite(offset, file.read(offset, segment.end - offset))
        file.sync()
    finally:
        file.close()


def _verdict(survey: _Survey, damage: CorruptionError | None) -> Recovery:
    if damage is not None:
        return Recovery("corrupt", survey.dropped_bytes, str(damage))
    if survey.flaw is None:
        return Recovery()
    tail: Literal["torn", "ambiguous"] = "torn" if survey.flaw.torn else "ambiguous"
    return Recovery(tail, survey.dropped_bytes, survey.flaw.reason)
