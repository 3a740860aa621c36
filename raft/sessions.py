"""Client sessions: a command that is sent again takes effect once (Ongaro 2014, section 6.3).

`Sessions` is a state machine around another one, so its table is part of the replicated state: it
is the same on every node, and travels in every snapshot. A client opens a session, and numbers its
commands in it from 1, one after the other. It sends a command, in the same encoding, until it gets
an answer; however often that is applied, the machine inside sees it once, and the answer is the
same each time.

Commands are encoded as u8 kind · u64 session · u64 sequence · the inner command. In a snapshot the
table is u32 count, then for each session, the least recently used first, u64 session · u64 sequence
· u32 size · the last answer; the inner machine's bytes follow.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Protocol

from raft.state_machine import StateMachine

_COMMAND = struct.Struct("<BQQ")
_COUNT = struct.Struct("<I")
_SESSION = struct.Struct("<QQI")


class ReplyingMachine(StateMachine, Protocol):
    """A state machine whose answers are bytes, so that they can be kept and sent again."""

    def apply(self, index: int, command: bytes) -> bytes:
        """As `StateMachine.apply`."""


class Refusal(Enum):
    """Why a command was not applied. It is the result of the command, the same on every node."""

    NO_SESSION = "the session was never opened, or has made room for another"
    STALE = "a later command of the session has been applied"
    MALFORMED = "this is not a command of a session"


class _Kind(IntEnum):
    OPEN = 0
    COMMAND = 1


@dataclass(slots=True)
class _Session:
    sequence: int = 0
    answer: bytes = b""


def encode_open() -> bytes:
    """Encode the command that opens a session; its result is the session's id."""
    return _COMMAND.pack(_Kind.OPEN, 0, 0)


def encode_command(session_id: int, sequence: int, command: bytes) -> bytes:
    """Encode a command for the machine inside; its result is an answer, or a `Refusal`."""
    return _COMMAND.pack(_Kind.COMMAND, session_id, sequence) + command


class Sessions:
    """A state machine that applies each command of a session once.

    Args:
        state_machine: the one inside.
        max_sessions: how many are kept, the same number on every node: one more takes the place of
            the one that was not used for longest, as the log tells.
    """

    def __init__(self, state_machine: ReplyingMachine, max_sessions: int = 10_000) -> None:
        self._state_machine = state_machine
        self._max_sessions = max_sessions
        self._sessions: dict[int, _Session] = {}  # the least recently used first

    def apply(self, index: int, command: bytes) -> int | bytes | Refusal:
        """Apply a command: say which session was opened, or what the answer is, or why none."""
        try:
            kind, session_id, sequence = _COMMAND.unpack_from(command)
        except struct.error:
            return Refusal.MALFORMED
        if kind == _Kind.OPEN:
            return self._open(index)
        if kind != _Kind.COMMAND:
            return Refusal.MALFORMED
        session = self._sessions.pop(session_id, None)
        if session is None:
            return Refusal.NO_SESSION
        self._sessions[session_id] = session
        if sequence < session.sequence:
            return Refusal.STALE
        if sequence > session.sequence:
            session.answer = self._state_machine.apply(index, command[_COMMAND.size :])
            session.sequence = sequence
        return session.answer

    def snapshot(self) -> Iterable[bytes]:
        """Say the table, and the state of the machine inside."""
        yield _COUNT.pack(len(self._sessions))
        for session_id, session in self._sessions.items():
            yield _SESSION.pack(session_id, session.sequence, len(session.answer)) + session.answer
        yield from self._state_machine.snapshot()

    def restore(self, chunks: Iterator[bytes]) -> None:
        """Replace the table and the state of the machine inside."""
        reader = _Reader(chunks)
        self._sessions = {}
        (count,) = _COUNT.unpack(reader.read(_COUNT.size))
        for _ in range(count):
            session_id, sequence, size = _SESSION.unpack(reader.read(_SESSION.size))
            self._sessions[session_id] = _Session(sequence, reader.read(size))
        self._state_machine.restore(reader.rest())

    def _open(self, index: int) -> int:
        """Open a session. The index of its entry is an id that no other one has."""
        if len(self._sessions) >= self._max_sessions:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[index] = _Session()
        return index


class _Reader:
    """Reads sizes of its own choice from chunks that are cut elsewhere."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._ahead = b""

    def read(self, size: int) -> bytes:
        """Read `size` bytes; fewer where the chunks end."""
        parts = [self._ahead]
        missing = size - len(self._ahead)
        while missing > 0 and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            missing -= len(chunk)
        data = b"".join(parts)
        self._ahead = data[size:]
        return data[:size]

    def rest(self) -> Iterator[bytes]:
        """Hand over what has not been read."""
        if self._ahead:
            yield self._ahead
        yield from self._chunks
