"""Batches that a leader sends and others, and that a node which takes the wrong ones is noticed."""

import struct

import pytest

from fuzz.directories import build_directories
from fuzz.laws import BrokenLawError
from fuzz.targets.append_batch import check
from raft import follower
from raft.log_entry import EntryType, LogEntry
from raft.member import Member
from raft.message import Message

DIRECTORIES = build_directories()
NUMBER = 1
LAST = len(DIRECTORIES[NUMBER].entries)
TERM = DIRECTORIES[NUMBER].entries[-1].term


def batch(*entries: LogEntry, prev_index: int = LAST, count: int | None = None) -> bytes:
    data = b"".join(entry.encode() for entry in entries)
    prev_term = DIRECTORIES[NUMBER].entries[prev_index - 1].term
    count = len(entries) if count is None else count
    head = struct.pack("<BBQQQII", NUMBER, 1, prev_index, prev_term, LAST + 2, count, len(data))
    return head + data


GOOD = batch(LogEntry(TERM, LAST + 1), LogEntry(TERM + 1, LAST + 2, EntryType.NOOP))
CONFLICT = batch(LogEntry(TERM + 1, LAST, EntryType.NOOP), prev_index=LAST - 1)
CUT = GOOD[:-1]
GAP = batch(LogEntry(TERM, LAST + 1), LogEntry(TERM, LAST + 3))
NO_PEERS = batch(LogEntry(TERM, LAST + 1), LogEntry(TERM, LAST + 2, EntryType.CONFIGURATION))

# The first two entries are committed, in this term.
OTHER_COMMITTED = batch(LogEntry(TERM + 1, 2), LogEntry(TERM + 1, 3), prev_index=1)


@pytest.mark.parametrize(
    "data", [GOOD, CONFLICT, CUT, GAP, NO_PEERS, OTHER_COMMITTED, batch(), batch(count=1)]
)
def test_the_node_takes_a_batch_or_nothing(data: bytes) -> None:
    check(data)


@pytest.mark.parametrize("data", [GAP, NO_PEERS])
def test_a_batch_that_no_leader_sends_and_is_stored(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_decode_entries", Message.entries)
    with pytest.raises((BrokenLawError, AssertionError, ValueError)):
        check(data)


def test_a_batch_that_follows_another_entry_than_the_committed_one_and_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follower.Follower, "_check_committed", lambda *_: None)
    with pytest.raises(BrokenLawError, match="had an effect"):
        check(OTHER_COMMITTED)


def test_a_conflict_that_is_overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower.Follower, "_store", lambda _, __: None)
    with pytest.raises(BrokenLawError, match="and was to be"):
        check(CONFLICT)


def test_an_error_that_leaves_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Member, "step", lambda self, message: self._take(message))
    with pytest.raises(ValueError, match="there are"):
        check(CUT)
