"""Auditing a data directory, whichever format it has."""

from typing import Final

from durability.audit import raft_v2, raftcr
from durability.audit.data_directory import DataDirectory, LocalDirectory, printable
from durability.audit.raft_v2 import read_raft_v2
from durability.audit.raftcr import read_raftcr
from durability.audit.recovered import DirectoryAudit, Format, RecoveredDirectory

__all__ = ["DirectoryAudit", "RecoveredDirectory", "audit_directory", "read_directory"]

_FILE_SYSTEMS_OWN: Final = "lost+found"


def audit_directory(directory: str | DataDirectory, *, recovered: bool = False) -> DirectoryAudit:
    """Judge a directory at rest, or one that its node has `recovered`; change nothing in it.

    It is given by its path, or as what stands for one.

    At rest a left-over temporary and an unfinished tail are notes: recovery is entitled to them.
    Recovered, they are violations. A whole but wrong tail at rest is inconclusive: an unfinished
    batch of one power cut and rot in an acknowledged one look alike. A directory in which there is
    nothing to judge is inconclusive too.

    Raises:
        UnreadableError: the directory or a file in it is missing or may not be read.
    """
    return read_directory(directory, recovered=recovered).audit


def read_directory(
    directory: str | DataDirectory, *, recovered: bool = False
) -> RecoveredDirectory:
    """As `audit_directory`, with the log's entries and the snapshot that were found.

    Raises:
        UnreadableError: as `audit_directory`.
    """
    if isinstance(directory, str):
        directory = LocalDirectory(directory)
    path = directory.path
    names = frozenset(directory.names) - {_FILE_SYSTEMS_OWN}
    ours = frozenset(filter(_is_v2, names))
    theirs = frozenset(filter(_is_raftcr, names))
    if ours - theirs and theirs - ours:
        found = _unread(path, "unknown", "holds files of both formats: neither was read")
    elif theirs - ours:
        found = read_raftcr(directory, recovered=recovered)
    elif ours:
        found = read_raft_v2(directory, recovered=recovered)
    elif names:
        found = _unread(path, "unknown", "holds no file of a Raft node")
    else:
        found = _unread(path, "empty", "holds nothing yet, as before a node's first start")
    found.audit.notes.extend(
        f"{printable(name)}: not a file of a Raft node, not read"
        for name in sorted(names - ours - theirs)
    )
    return found


def _unread(path: str, form: Format, note: str) -> RecoveredDirectory:
    return RecoveredDirectory(
        DirectoryAudit(path=printable(path), format=form, verdict="inconclusive", notes=[note])
    )


def _is_v2(name: str) -> bool:
    return name in raft_v2.FILES or raft_v2.SEGMENT_NAME.fullmatch(name) is not None


def _is_raftcr(name: str) -> bool:
    return name in raftcr.FILES or raftcr.LOG_NAME.fullmatch(name) is not None
