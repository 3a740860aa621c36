"""A snapshot on its way from a leader to a peer, in chunks, in memory of one.

On the wire a snapshot is one stream, cut where the leader likes: u64 index · u64 term · u32 size of
the peer list · the peer list · the state machine's bytes (docs/formats.md). Each InstallSnapshot
says at which offset its chunk begins, each response how much of the stream the peer has; that is
where the leader goes on, so a chunk that is lost, or comes twice or late, does no harm.
"""

import struct
from dataclasses import dataclass
from typing import Self

from raft.errors import DecodeError
from raft.message import Message
from raft.peer import decode_peers, encode_peers, has_voter
from raft.snapshot import Snapshot, SnapshotWriter
from raft.storage import Storage

_PREFIX = struct.Struct("<QQI")


class OutgoingSnapshot:
    """A leader's side: the snapshot that it has when it begins, whatever snapshots follow.

    `chunk` is at `offset` of the stream, which has `total_bytes`; it is kept until it has arrived.
    `sent_round` is the round in which it was sent: an answer of a later one says that it is lost.
    """

    def __init__(self, storage: Storage, chunk_bytes: int) -> None:
        self._reader = storage.open_snapshot()
        self._chunks = self._reader.chunks()
        self._chunk_bytes = chunk_bytes
        snapshot = self._reader.snapshot
        peers = encode_peers(snapshot.peers)
        self.index = snapshot.index
        self.term = snapshot.term
        self._ahead = bytearray(_PREFIX.pack(self.index, self.term, len(peers)) + peers)
        self.total_bytes = len(self._ahead) + self._reader.body_bytes()
        self.offset = 0
        self.chunk = self._read()
        self.sent_round = 0
        self._reported_bytes = 0

    @property
    def is_last(self) -> bool:
        """Whether the stream ends with the present chunk."""
        return self.offset + len(self.chunk) == self.total_bytes

    @property
    def is_ahead(self) -> bool:
        """Whether the peer has last said that it lacks what is before the present chunk.

        That may be an old answer; if the chunk is not answered either, the stream begins anew.
        """
        return self._reported_bytes < self.offset

    def advance(self, received_bytes: int) -> bool:
        """Go on where the peer is; False says that it is no further than was known."""
        self._reported_bytes = received_bytes
        if not self.offset < received_bytes <= self.total_bytes:
            return False
        while self.chunk and received_bytes >= self.offset + len(self.chunk):
            self.offset += len(self.chunk)
            self.chunk = self._read()
        self.chunk = self.chunk[received_bytes - self.offset :]
        self.offset = received_bytes
        return True

    def close(self) -> None:
        """Give the file back."""
        self._reader.close()

    def _read(self) -> bytes:
        while len(self._ahead) < self._chunk_bytes and (more := next(self._chunks, b"")):
            self._ahead += more
        chunk = bytes(self._ahead[: self._chunk_bytes])
        del self._ahead[: self._chunk_bytes]
        return chunk


@dataclass(frozen=True, slots=True)
class Stream:
    """Which stream a chunk is of: of one leader, in its term, and of one snapshot of its.

    Two leaders may cut the same state into other bytes: theirs are not to be mixed.
    """

    leader_term: int
    index: int
    term: int
    total_bytes: int

    @classmethod
    def of(cls, message: Message) -> Self:
        """Read it from an InstallSnapshot."""
        return cls(
            message.term, message.prev_log_index, message.prev_log_term, message.last_log_term
        )


class IncomingSnapshot:
    """A peer's side: what has come of the stream so far is in `snapshot.tmp`.

    Raises, while it is fed:
        DecodeError: it is not what a leader sends; the subclass says why. Give it up then.
    """

    def __init__(self, storage: Storage, stream: Stream) -> None:
        self.stream = stream
        self.received_bytes = 0
        self._storage = storage
        self._prefix = b""
        self._writer: SnapshotWriter | None = None

    def append(self, chunk: bytes) -> None:
        """Take in the chunk at `received_bytes`."""
        self.received_bytes += len(chunk)
        if self.received_bytes > self.stream.total_bytes:
            raise DecodeError(f"it goes on after its {self.stream.total_bytes} bytes")
        if self._writer is not None:
            self._writer.append(chunk)
            return
        self._prefix += chunk
        if len(self._prefix) < _PREFIX.size:
            return
        index, term, peers_bytes = _PREFIX.unpack_from(self._prefix)
        end = _PREFIX.size + peers_bytes
        if (index, term) != (self.stream.index, self.stream.term) or end > self.stream.total_bytes:
            raise DecodeError(f"the snapshot of {self.stream.index} says that it is of {index}")
        if len(self._prefix) >= end:
            peers = decode_peers(self._prefix[_PREFIX.size : end])
            if not has_voter(peers) or not 0 < term <= self.stream.leader_term:
                raise DecodeError(f"no leader has such a snapshot: term {term}, peers {peers}")
            self._writer = self._storage.begin_snapshot(index, term, peers)
            self._writer.append(self._prefix[end:])
            self._prefix = b""

    def finish(self) -> Snapshot:
        """Put it in the place of the node's own; durable when this returns."""
        if self._writer is None or self.received_bytes < self.stream.total_bytes:
            raise DecodeError(f"it ends after {self.received_bytes} bytes")
        self._storage.install_snapshot(self._writer)
        return self._writer.snapshot

    def close(self) -> None:
        """Give the file back as it is: the next recovery removes it."""
        if self._writer is not None:
            self._writer.close()

    def abandon(self) -> None:
        """Give up: what has come of it is removed."""
        if self._writer is not None:
            self._writer.abandon()
