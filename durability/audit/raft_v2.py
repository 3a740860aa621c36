"""What recovery must make of our own node's data directory (`docs/formats.md`, 'Recovery').

A second implementation of that page, written from it alone: it shares no code with the node, so a
mistake would have to be made twice to go unseen. It recovers in memory and says where the directory
breaks a guarantee; nothing on disk is changed.

Not seen here: whether an intact last batch that is missing altogether was acknowledged. Nothing on
disk tells; the ledger of acknowledgements does (`ledger.py`).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from durability.audit.cursor import MalformedError
from durability.audit.data_directory import DataDirectory, printable
from durability.audit.log_entry import Entry
from durability.audit.raft_v2_files import (
    Segment,
    check_segment_format,
    decode_metadata,
    decode_snapshot,
    read_segment,
)
from durability.audit.recovered import (
    DirectoryAudit,
    RecoveredDirectory,
    Snapshot,
    judge_configurations,
    judge_temporaries,
    judge_term_and_vote,
)

SEGMENT_NAME: Final = re.compile(r"(?!0{20})[0-9]{20}\.segment")
TEMPORARIES: Final = ("metadata.tmp", "snapshot.tmp")
FILES: Final = ("metadata", "snapshot", *TEMPORARIES)

_INCOMPLETE: Final = 2**64 - 1
"""In the place of metadata's durable index: entries that the node has held may be missing."""


@dataclass(frozen=True)
class _Break:
    """The first place where the log cannot be followed; `index` is the entry that is not there."""

    file: str
    index: int
    defect: MalformedError


@dataclass(frozen=True)
class _Log:
    """The segments that continue each other, and what ends them before the last file's end."""

    segments: Sequence[Segment]
    broken: _Break | None

    @property
    def entries(self) -> list[Entry]:
        return [entry for segment in self.segments for entry in segment.entries]


def read_raft_v2(directory: DataDirectory, *, recovered: bool) -> RecoveredDirectory:
    """Recover a v2 directory in memory and judge it; `recovered` says that the node already did.

    Raises:
        UnreadableError: a file is gone or may not be read.
    """
    audit = DirectoryAudit(path=printable(directory.path), format="v2")
    judge_temporaries(audit, directory.names, TEMPORARIES, recovered=recovered)
    names = [name for name in directory.names if SEGMENT_NAME.fullmatch(name)]
    if "metadata" not in directory.names:
        if names or "snapshot" in directory.names:
            audit.violate("corrupt", "metadata: missing beside a log or a snapshot")
        return RecoveredDirectory(audit)

    file = "metadata"
    snapshot: Snapshot | None = None
    try:
        metadata = decode_metadata(directory.read(file))
        audit.node_id, audit.group_id = metadata.node_id, metadata.group_id
        audit.term, audit.voted_for = metadata.current_term, metadata.voted_for
        if metadata.durable_index == _INCOMPLETE:
            audit.notes.append("the log is incomplete: the node stays out of votes until repaired")
        else:
            audit.durable_index = metadata.durable_index
        if "snapshot" in directory.names:
            file = "snapshot"
            snapshot = decode_snapshot(directory.read(file), metadata.directory_id)
            audit.snapshot_index, audit.snapshot_term = snapshot.index, snapshot.term
            audit.commit_index = snapshot.index
    except MalformedError as error:
        audit.violate_malformed(file, error)
        audit.notes.append(f"the log was not read: its place depends on {file}")
        return RecoveredDirectory(audit)

    obsolete = _obsolete(names, snapshot)
    for name in obsolete:
        _judge_format(audit, name, directory.read(name))
    segments = [
        _read_segment(directory, name, metadata.directory_id) for name in names[len(obsolete) :]
    ]
    if obsolete and recovered:
        # A node that goes on after its snapshot begins a new segment and leaves the one before.
        last = _read_segment(directory, obsolete[-1], metadata.directory_id)
        if segments[0].first_index == audit.snapshot_index + 1 and _is_whole(last, segments[0]):
            obsolete = obsolete[:-1]
    if obsolete:
        _judge_obsolete(audit, obsolete, recovered=recovered)
    entries = _recover(audit, segments, snapshot, recovered=recovered)
    judge_configurations(audit, entries, snapshot)
    judge_term_and_vote(audit)
    return RecoveredDirectory(audit, entries, snapshot)


def _obsolete(names: Sequence[str], snapshot: Snapshot | None) -> Sequence[str]:
    """Return the segments that end at or below the snapshot's index, where the next one tells.

    They may be anything but needed: an unlink may be unfinished, or undone by a power cut, which
    also brings back what a log that the snapshot replaced had claimed. So no more of them is read
    than their format.
    """
    if snapshot is None:
        return ()
    return [
        name for name, following in pairwise(names) if _first_index(following) <= snapshot.index + 1
    ]


def _judge_format(audit: DirectoryAudit, name: str, data: bytes) -> None:
    """Judge what a later version wrote: it is not for this one to remove."""
    try:
        check_segment_format(data)
    except MalformedError as error:
        if error.kind == "unknown-format":
            audit.violate_malformed(name, error)


def _first_index(name: str) -> int:
    return int(name.partition(".")[0])


def _read_segment(directory: DataDirectory, name: str, directory_id: int) -> Segment:
    try:
        return read_segment(name, directory.read(name), directory_id)
    except MalformedError as error:
        return Segment(name, _first_index(name), None, (), 0, 0, error, 0)


def _is_whole(segment: Segment, following: Segment) -> bool:
    return segment.defect is None and segment.next_index == following.first_index


def _recover(
    audit: DirectoryAudit,
    segments: Sequence[Segment],
    snapshot: Snapshot | None,
    *,
    recovered: bool,
) -> list[Entry]:
    """Fill in what the log and the snapshot give together; return the entries that are kept."""
    audit.durable_index = max(
        audit.durable_index,
        audit.snapshot_index,
        *(segment.durable_index for segment in segments),
    )
    for segment in segments:
        if segment.defect is not None and segment.defect.kind != "corrupt":
            # No unfinished write looks like that, wherever in the log it is.
            audit.violate_malformed(segment.name, segment.defect)
    log = _follow(segments, audit.snapshot_index)
    if log.broken is not None:
        _judge_break(audit, log.broken, recovered=recovered)
    entries = log.entries
    log_end = max(entries[-1].index if entries else 0, audit.snapshot_index)
    if log.broken is None and audit.durable_index > log_end:
        audit.violate(
            "commit-beyond-log",
            f"entry {audit.durable_index} is known to have been durable, the log ends at {log_end}",
        )
    if snapshot is not None and _is_replaced(audit, log, snapshot, recovered=recovered):
        entries = []
    audit.last_index, audit.last_term = audit.snapshot_index, audit.snapshot_term
    if entries:
        audit.last_index, audit.last_term = entries[-1].index, entries[-1].term
    audit.first_index = entries[0].index if entries else audit.last_index + 1
    return entries


def _follow(segments: Sequence[Segment], snapshot_index: int) -> _Log:
    run: list[Segment] = []
    for segment in segments:
        expected = run[-1].next_index if run else min(segment.first_index, snapshot_index + 1)
        defect = _discontinuity(run, segment, expected)
        if defect is not None:
            return _Log(run, _Break(segment.name, expected, defect))
        run.append(segment)
        if segment.defect is not None:
            return _Log(run, _Break(segment.name, segment.next_index, segment.defect))
    return _Log(run, None)


def _discontinuity(
    run: Sequence[Segment], segment: Segment, expected: int
) -> MalformedError | None:
    """Return why a segment does not continue the ones before it, or None if it does."""
    header = segment.header
    if header is None:
        return segment.defect
    if segment.first_index > expected:
        return MalformedError(
            24,
            f"the segment begins with entry {segment.first_index}, {expected} is missing,",
            kind="log-gap",
            cut=True,
        )
    if segment.first_index < expected:
        return MalformedError(
            24, f"the segment begins with entry {segment.first_index} again, after {expected - 1},"
        )
    if run and header.previous_term != run[-1].last_term:
        return MalformedError(
            32, f"previous_term is {header.previous_term}, the entry has {run[-1].last_term},"
        )
    if run and header.previous_crc != run[-1].last_crc:
        return MalformedError(48, "previous_crc is not the crc of the record before")
    return None


def _judge_break(audit: DirectoryAudit, broken: _Break, *, recovered: bool) -> None:
    """A break at or below the durable index lost what was promised; above it nothing was."""
    defect = broken.defect
    what = f"{broken.file}: entry {broken.index}: {defect}"
    if defect.kind not in {"corrupt", "log-gap"}:
        return  # reported already
    if broken.index <= audit.durable_index:
        audit.violate(defect.kind, f"{what}; entries up to {audit.durable_index} were durable")
        return
    audit.tail = "torn" if defect.cut else "ambiguous"
    if recovered:
        audit.violate("unclean-tail", f"{what}; recovery drops such a tail")
        return
    audit.notes.append(f"{audit.tail} tail, which recovery drops: {what}")
    if audit.tail == "ambiguous" and audit.verdict == "held":
        audit.verdict = "inconclusive"
        audit.notes.append("whether the last batch was acknowledged, the directory cannot tell")


def _is_replaced(audit: DirectoryAudit, log: _Log, snapshot: Snapshot, *, recovered: bool) -> bool:
    """Tell whether recovery drops the log for the snapshot; afterwards it must have done so."""
    if not log.segments:
        return False
    if log.segments[-1].next_index <= snapshot.index:
        names = [segment.name for segment in log.segments]
        _judge_obsolete(audit, names, recovered=recovered)
        return True
    term = _term_at(log, snapshot.index)
    if term == snapshot.term:
        return False
    message = f"entry {snapshot.index} has term {term} in the log, {snapshot.term} in the snapshot"
    if recovered:
        audit.violate("snapshot-mismatch", message)
    else:
        audit.notes.append(f"{message}: recovery drops the log for the snapshot")
    return True


def _term_at(log: _Log, index: int) -> int:
    first = log.segments[0]
    if index < first.first_index and first.header is not None:
        return first.header.previous_term
    return log.entries[index - first.first_index].term


def _judge_obsolete(audit: DirectoryAudit, names: Iterable[str], *, recovered: bool) -> None:
    what = f"{', '.join(names)}: the snapshot at {audit.snapshot_index} stands for all of it"
    if recovered:
        audit.violate("segment-left", what)
    else:
        audit.notes.append(f"{what}, recovery deletes it")
