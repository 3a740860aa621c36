"""The state machine of simulated nodes: a key-value store behind client sessions, and a witness.

The witness keeps a digest of every command and its result, in order. So it tells two histories
apart that left the same values; and it costs O(1) a command, where a digest of the state would cost
the state.
"""

import struct
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

from raft.examples.kv import KeyValueStore
from raft.sessions import Refusal, Sessions

_HEAD = struct.Struct("<Q16s")
_COMMAND = struct.Struct("<BQQ")  # as `raft.sessions` has it
_OPEN = 0


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the command of an entry; `request` is None where no session took it."""

    index: int
    digest: bytes
    request: tuple[int, int] | None
    is_fresh: bool


class _Store:
    """A key-value store that answers in bytes, and says whether it was asked."""

    def __init__(self) -> None:
        store = KeyValueStore()
        self.was_asked = False
        self.snapshot = store.snapshot
        self.restore = store.restore
        self._store = store

    def apply(self, index: int, command: bytes) -> bytes:
        self.was_asked = True
        return repr(self._store.apply(index, command)).encode()


class Witness:
    """A state machine whose snapshots carry the digest along.

    `applied` are the commands, and `restored` is the (index, digest) of the last snapshot that was
    taken over, for whoever watches to take away.
    """

    def __init__(self) -> None:
        self.applied: deque[Applied] = deque()
        self.restored: tuple[int, bytes] | None = None
        self._store = _Store()
        self._sessions = Sessions(self._store)
        self._index = 0
        self._digest = bytes(16)

    def apply(self, index: int, command: bytes) -> object:
        """Apply a command."""
        self._store.was_asked = False
        result = self._sessions.apply(index, command)
        told = self._digest + index.to_bytes(8, "little") + command + repr(result).encode()
        self._index, self._digest = index, blake2b(told, digest_size=16).digest()
        request = None
        if not isinstance(result, Refusal):
            kind, session_id, sequence = _COMMAND.unpack_from(command)
            request = None if kind == _OPEN else (session_id, sequence)
        is_fresh = self._store.was_asked or request is None
        self.applied.append(Applied(index, self._digest, request, is_fresh))
        return result

    def snapshot(self) -> Iterable[bytes]:
        """Say the index and the digest, then the sessions' and the store's state."""
        yield _HEAD.pack(self._index, self._digest)
        yield from self._sessions.snapshot()

    def restore(self, chunks: Iterator[bytes]) -> None:
        """Replace all of it."""
        data = b"".join(chunks)
        self._index, self._digest = _HEAD.unpack_from(data)
        self._sessions.restore(iter((data[_HEAD.size :],)))
        self.restored = (self._index, self._digest)
