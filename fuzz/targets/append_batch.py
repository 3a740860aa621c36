"""Invariant tested: a node stores a batch that a leader may have sent, or none of it, and goes on.

An input is u8 which of a few nodes, and an AppendEntries for it: u8 by how much its term is above
the node's, u64 prev_log_index, u64 prev_log_term, u64 commit_index, u32 entries_count, u32 size
(not looked at), the data. What must hold:

- nothing leaves `step`, and a heartbeat after it is answered as ever;
- a batch that does not decode, or that no leader sends, or that goes on from another entry than the
  last committed one, is counted as malformed: but for the term the files, the log, the commit index
  and the state machine are as before, and nobody is answered;
- any other makes the log what the Raft paper says (figure 2): as before where the entry before the
  batch does not match, else with the batch in it, and what followed only where that agrees;
- commits reach to what the batch has verified, and never fall;
- the next start finds the same log.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from fuzz.directories import DataDirectory, build_directories
from fuzz.disk import MemoryFilesystem
from fuzz.laws import BrokenLawError
from fuzz.layout import Layout
from fuzz.specification import wire
from fuzz.target import Target
from fuzz.targets.log_entry import LOG_ENTRY
from raft.effects import Effect, SendMessage
from raft.errors import DecodeError
from raft.log_entry import EntryType, LogEntry
from raft.member import DropReason
from raft.message import Message, MessageType
from raft.node import Node
from raft.peer import PeerRole

BATCH: Final = Layout((1, 1, 8, 8, 8, 4, 4), size=6, body=LOG_ENTRY, count=5)

_HEADER: Final = struct.Struct("<BBQQQII")
_DIRECTORIES: Final = build_directories()
_LEADER_ID: Final = 2
_COMMITTED: Final = 2

_Entries = Sequence[LogEntry] | None
"""A batch's entries; None where they do not decode."""


def check(data: bytes) -> None:
    """Deliver a batch, judge by the second decoder what became of it, and start anew."""
    if len(data) >= _HEADER.size:
        subject, message = _take(data)
        entries = wire.entries(message.entries_count, message.data)
        _deliver(subject, message, None if isinstance(entries, frozenset) else entries)
        again = _Subject(subject.directory, subject.filesystem.files)
        if again.state().log != subject.state().log:
            raise BrokenLawError(f"started again: {again.state()}; before: {subject.state()}")


def _probe(data: bytes) -> None:
    """Deliver a batch, and judge what became of it by what it decodes to."""
    if len(data) >= _HEADER.size:
        subject, message = _take(data)
        try:
            entries = message.entries()
        except DecodeError:
            _deliver(subject, message, None)
        else:
            _deliver(subject, message, entries)


class _Recorder:
    """A state machine that remembers what it was given."""

    def __init__(self) -> None:
        self.applied: list[tuple[int, bytes]] = []

    def apply(self, index: int, command: bytes) -> None:
        self.applied.append((index, command))

    def snapshot(self) -> Iterable[bytes]:
        return ()

    def restore(self, chunks: Iterator[bytes]) -> None:
        self.applied = [(0, b"".join(chunks))]


@dataclass(frozen=True)
class _State:
    """All of a node that a batch may change.

    `terms` are those of the log's entries and of the one before them; `files` hold the log.
    """

    log: tuple[LogEntry, ...]
    terms: dict[int, int | None]
    commit_index: int
    applied: tuple[tuple[int, bytes], ...]
    files: dict[str, bytes]


class _Subject:
    """A node on a directory of its own."""

    def __init__(self, directory: DataDirectory, files: dict[str, bytes] | None = None) -> None:
        self.directory = directory
        self.filesystem = MemoryFilesystem(directory.files if files is None else files)
        self._machine = _Recorder()
        self.node = Node(directory.config, self._machine, self.filesystem)

    def step(self, message: Message) -> list[Effect]:
        """Deliver a message; return what the node asks for."""
        self.node.step(message)
        return self.node.take_effects()

    def heartbeat(self, commit_index: int) -> Message:
        """Make what a leader sends that knows this node to be up to date."""
        last_index = self.node.last_index
        return Message(
            group_id=self.directory.config.group_id,
            type=MessageType.APPEND_ENTRIES,
            sender=_LEADER_ID,
            term=self.node.current_term,
            prev_log_index=last_index,
            prev_log_term=self.node.term(last_index) or 0,
            commit_index=commit_index,
        )

    def state(self) -> _State:
        """Take down what the node holds."""
        node = self.node
        first_index, last_index = node.first_index, node.last_index
        return _State(
            tuple(map(node.entry, range(first_index, last_index + 1))),
            {index: node.term(index) for index in range(first_index - 1, last_index + 1)},
            node.commit_index,
            tuple(self._machine.applied),
            {name: data for name, data in self.filesystem.files.items() if name != "metadata"},
        )


def _take(data: bytes) -> tuple[_Subject, Message]:
    number, later, prev_index, prev_term, commit_index, count, _ = _HEADER.unpack_from(data)
    directory = _DIRECTORIES[number % len(_DIRECTORIES)]
    subject = _Subject(directory)
    subject.step(subject.heartbeat(_COMMITTED))
    message = Message(
        group_id=directory.config.group_id,
        type=MessageType.APPEND_ENTRIES,
        sender=_LEADER_ID,
        term=subject.node.current_term + later,
        prev_log_index=prev_index,
        prev_log_term=prev_term,
        commit_index=commit_index,
        entries_count=count,
        data=data[_HEADER.size :],
    )
    return subject, message


def _deliver(subject: _Subject, message: Message, entries: _Entries) -> None:
    before = subject.state()
    effects = subject.step(message)
    after = subject.state()
    malformed = subject.node.dropped_messages[DropReason.MALFORMED]
    if (
        entries is None
        or not _may_come_from_leader(message, entries)
        or _contradicts_committed(message, entries, before)
    ):
        if effects or after != before or malformed != 1:
            raise BrokenLawError(f"a malformed batch had an effect: {effects}, {after}")
    elif malformed:
        raise BrokenLawError(f"refused as malformed: {entries} after {message.prev_log_index}")
    else:
        _check_stored(message, entries, before, after)
        _check_answer(effects)
    _check_answer(subject.step(subject.heartbeat(0)))


def _may_come_from_leader(message: Message, entries: Sequence[LogEntry]) -> bool:
    """Say whether a leader's log could hold these entries, one after the other."""
    before = LogEntry(message.prev_log_term, message.prev_log_index)
    return all(
        entry.index == previous.index + 1 and previous.term <= entry.term <= message.term
        for previous, entry in pairwise((before, *entries))
    ) and all(_has_voter(entry.data) for entry in entries if entry.type is EntryType.CONFIGURATION)


def _contradicts_committed(message: Message, entries: Sequence[LogEntry], before: _State) -> bool:
    """Say whether entries above the last committed one follow another entry than that."""
    claimed = {message.prev_log_index: message.prev_log_term}
    claimed |= {entry.index: entry.term for entry in entries}
    committed, term = before.commit_index, before.terms[before.commit_index]
    return max(claimed) > committed and claimed.get(committed, term) != term


def _has_voter(peer_list: bytes) -> bool:
    peers = wire.peer_list(peer_list)
    return not isinstance(peers, frozenset) and any(peer.role is PeerRole.VOTER for peer in peers)


def _check_stored(
    message: Message, entries: Sequence[LogEntry], before: _State, after: _State
) -> None:
    """Compare with a log that is a dictionary, and takes the batch entry by entry."""
    log = {entry.index: entry for entry in before.log}
    prev_index, committed = message.prev_log_index, before.commit_index
    terms = before.terms
    matches = prev_index <= committed or terms.get(prev_index) == message.prev_log_term
    expected_commit_index = committed
    if matches:
        for entry in entries:
            if entry.index > committed and terms.get(entry.index) != entry.term:
                log = {index: kept for index, kept in log.items() if index < entry.index}
                terms = {index: term for index, term in terms.items() if index < entry.index}
                log[entry.index] = entry
                terms[entry.index] = entry.term
        verified = prev_index + len(entries)
        expected_commit_index = max(committed, min(message.commit_index, verified))
    if after.log != tuple(log.values()) or after.commit_index != expected_commit_index:
        raise BrokenLawError(f"the log is {after}, and was to be {log}, {expected_commit_index}")
    if after.applied[: len(before.applied)] != before.applied:
        raise BrokenLawError(f"applied {after.applied}, and before {before.applied}")


def _check_answer(effects: Iterable[Effect]) -> None:
    answers = [effect for effect in effects if isinstance(effect, SendMessage)]
    if [answer.receiver for answer in answers] != [_LEADER_ID]:
        raise BrokenLawError(f"the leader is answered with {answers}")


TARGET: Final = Target(check=check, probe=_probe, layout=BATCH)
