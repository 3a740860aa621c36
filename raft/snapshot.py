"""The `snapshot` file: the state machine as of one index, and the configuration as of then.

The layout is that of docs/formats.md, section 'On disk'. It is written and read as a stream, in
memory of one chunk.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from crc32c import crc32c

from raft.errors import CorruptionError, DecodeError
from raft.filesystem import File, Filesystem
from raft.peer import Peer, decode_peers, encode_peers
from raft.preamble import PREAMBLE_BYTES, encode_preamble, has_magic

SNAPSHOT_NAME = "snapshot"
TEMPORARY_NAME = f"{SNAPSHOT_NAME}.tmp"
MAX_CHUNK_BYTES = 2**20

SNAPSHOT_MAGIC = b"RAFTSNAP"
_HEADER = struct.Struct(f"<{PREAMBLE_BYTES}sQQQI")
_U32 = struct.Struct("<I")
_CHUNK = struct.Struct("<II")
_END = struct.Struct("<IQ")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a snapshot file says of itself: the last entry in it, and the members as of then."""

    directory_id: int
    index: int
    term: int
    peers: tuple[Peer, ...]

    @staticmethod
    def read(filesystem: Filesystem, directory_id: int) -> "Snapshot":
        """Read the file's header and verify all of the file.

        Raises:
            UnsupportedFormatError: a later version wrote it.
            CorruptionError: it is damaged, or belongs to another directory. It was durable before
                it got its name.
        """
        reader = SnapshotReader(filesystem)
        try:
            snapshot = reader.snapshot
            if snapshot.directory_id != directory_id:
                reason = (
                    f"it belongs to directory {snapshot.directory_id:#x}, not {directory_id:#x}"
                )
                path = filesystem.path(SNAPSHOT_NAME)
                raise CorruptionError(path, PREAMBLE_BYTES, None, reason)
            for _ in reader.chunks():
                pass
        finally:
            reader.close()
        return snapshot

    def write(self, filesystem: Filesystem, chunks: Iterable[bytes]) -> None:
        """Replace the file. When this returns it is durable; a crash leaves the old or the new."""
        writer = SnapshotWriter(filesystem, self)
        try:
            for chunk in chunks:
                writer.append(chunk)
        except BaseException:
            writer.close()
            raise
        writer.commit()


class SnapshotReader:
    """The snapshot that is there, opened: it stays the same even if another takes its name.

    Raises:
        UnsupportedFormatError: a later version wrote it.
        CorruptionError: its header is damaged.
    """

    def __init__(self, filesystem: Filesystem) -> None:
        self._path = filesystem.path(SNAPSHOT_NAME)
        self._file = filesystem.open(SNAPSHOT_NAME)
        try:
            self.snapshot, self._offset, self._crc = _read_header(self._file, self._path)
        except BaseException:
            self._file.close()
            raise

    def body_bytes(self) -> int:
        """Say how many bytes of the state machine's there are: the end of the file does."""
        _, size = _END.unpack(self._file.read(self._file.size() - _END.size, _END.size))
        return int(size)

    def chunks(self) -> Iterator[bytes]:
        """Read the state machine's bytes, at most 1 MiB at a time, cut where it suits the file.

        Raises:
            CorruptionError: it is damaged.
        """
        return _read_chunks(self._file, self._path, self._offset, self._crc)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


class SnapshotWriter:
    """A snapshot that is being written, beside the one that is there, as `snapshot.tmp`."""

    def __init__(self, filesystem: Filesystem, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._filesystem = filesystem
        self._file = filesystem.create(TEMPORARY_NAME)
        peers = encode_peers(snapshot.peers)
        header = (
            _HEADER.pack(
                encode_preamble(SNAPSHOT_MAGIC),
                snapshot.directory_id,
                snapshot.index,
                snapshot.term,
                len(peers),
            )
            + peers
        )
        self._crc = crc32c(header)
        self._body_bytes = 0
        self._file.append(header + _U32.pack(self._crc))

    def append(self, data: bytes) -> None:
        """Write some of the state machine's bytes."""
        for start in range(0, len(data), MAX_CHUNK_BYTES):
            chunk = data[start : start + MAX_CHUNK_BYTES]
            self._crc = crc32c(chunk, crc32c(_U32.pack(len(chunk)), self._crc))
            self._file.append(_CHUNK.pack(self._crc, len(chunk)) + chunk)
            self._body_bytes += len(chunk)

    def commit(self) -> None:
        """Put it in the place of the one that is there; durable when this returns."""
        try:
            end = _END.pack(0, self._body_bytes)
            self._file.append(_U32.pack(crc32c(end, self._crc)) + end)
            self._file.sync()
        finally:
            self.close()
        self._filesystem.rename(TEMPORARY_NAME, SNAPSHOT_NAME)
        self._filesystem.sync()

    def abandon(self) -> None:
        """Give up. The one that is there stays."""
        self.close()
        self._filesystem.unlink(TEMPORARY_NAME)

    def close(self) -> None:
        """Give the file back as it is: the next recovery removes it."""
        self._file.close()


def _read_header(file: File, path: str) -> tuple[Snapshot, int, int]:
    """Read the header: the snapshot, the offset of what follows, the crc it continues."""
    fields = file.read(0, _HEADER.size)
    if not has_magic(fields, SNAPSHOT_MAGIC, path) or len(fields) < _HEADER.size:
        raise CorruptionError(path, 0, None, "this is not the beginning of a snapshot")
    _, directory_id, index, term, peers_bytes = _HEADER.unpack(fields)
    end = _HEADER.size + peers_bytes + _U32.size
    # Compared with the file's size before it is believed: it decides how much is allocated.
    if end > file.size():
        raise CorruptionError(path, 0, None, "the file ends inside its header")
    peers = file.read(_HEADER.size, peers_bytes)
    crc = crc32c(peers, crc32c(fields))
    if file.read(end - _U32.size, _U32.size) != _U32.pack(crc):
        raise CorruptionError(path, 0, None, "the header's checksum is wrong")
    try:
        return Snapshot(directory_id, index, term, decode_peers(peers)), end, crc
    except DecodeError as error:
        raise CorruptionError(path, _HEADER.size, None, f"its peer list: {error}") from error


def _read_chunks(file: File, path: str, offset: int, crc: int) -> Iterator[bytes]:
    """Read the chunks from `offset` on, and the end, each against the crc of what is before it."""
    total_bytes = 0
    while True:
        head = file.read(offset, _CHUNK.size)
        if len(head) < _CHUNK.size:
            raise CorruptionError(path, offset, None, "the file ends before the snapshot does")
        expected, size = _CHUNK.unpack(head)
        if size == 0:
            break
        if size > MAX_CHUNK_BYTES:
            raise CorruptionError(path, offset, None, f"a chunk of {size} bytes")
        chunk = file.read(offset + _CHUNK.size, size)
        crc = crc32c(chunk, crc32c(head[_U32.size :], crc))
        if len(chunk) < size or crc != expected:
            raise CorruptionError(path, offset, None, "a chunk is incomplete or its checksum wrong")
        yield chunk
        total_bytes += size
        offset += _CHUNK.size + size
    end = _END.pack(0, total_bytes)
    # One byte more is asked for than there may be.
    if file.read(offset, _U32.size + _END.size + 1) != _U32.pack(crc32c(end, crc)) + end:
        raise CorruptionError(path, offset, None, "the end does not agree with what is before it")
