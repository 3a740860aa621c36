"""Invariant tested: a `snapshot` file is read as what was written, or a typed error refuses it.

Each input is a file. It is tested as it is, and once more with its checksums put right.
"""

from typing import Final

from fuzz.disk import MemoryFilesystem
from fuzz.laws import BrokenLawError, Buffer, Encoding
from fuzz.layout import Layout
from fuzz.seal import seal_snapshot
from fuzz.specification import files
from fuzz.target import Target
from fuzz.targets.peer_list import PEER_LIST
from raft.errors import CorruptionError, StorageError
from raft.snapshot import SNAPSHOT_NAME, Snapshot, SnapshotReader

SNAPSHOT: Final = Layout(
    (8, 2, 2, 4, 8, 8, 8, 4),
    size=7,
    body=PEER_LIST,
    trailer=4,
    record=Layout((4, 4), size=1),
)

_DIRECTORY_ID_OFFSET: Final = 16

_Decoded = tuple[Snapshot, tuple[bytes, ...]]
"""What the file says of itself, and the state machine's bytes in the chunks of the file."""


def check(data: bytes) -> None:
    """Hold one file, and the same one sealed, against every law; elsewhere it is refused."""
    for content in (data, seal_snapshot(data)):
        _ENCODING.check(content)
        elsewhere = _owner(content) ^ 1
        try:
            snapshot = Snapshot.read(MemoryFilesystem({SNAPSHOT_NAME: content}), elsewhere)
        except StorageError:
            continue
        raise BrokenLawError(f"{snapshot} was read in directory {elsewhere:#x}")


def _probe(data: bytes) -> None:
    _ENCODING.probe(data)
    _ENCODING.probe(seal_snapshot(data))


def _decode(data: Buffer) -> _Decoded:
    content = bytes(data)
    filesystem = MemoryFilesystem({SNAPSHOT_NAME: content})
    snapshot = Snapshot.read(filesystem, _owner(content))
    return snapshot, tuple(SnapshotReader(filesystem).chunks())


def _owner(content: bytes) -> int:
    """Return the id of the directory in which the file would be at home."""
    return int.from_bytes(content[_DIRECTORY_ID_OFFSET : _DIRECTORY_ID_OFFSET + 8], "little")


def _encode(decoded: _Decoded) -> bytes:
    snapshot, chunks = decoded
    filesystem = MemoryFilesystem({})
    snapshot.write(filesystem, chunks)
    return filesystem.files[SNAPSHOT_NAME]


_ENCODING: Final = Encoding(
    decode=_decode,
    encode=_encode,
    specification=files.snapshot,
    error=StorageError,
    truncated=CorruptionError,
    trailing=CorruptionError,
)

TARGET: Final = Target(check=check, probe=_probe, layout=SNAPSHOT)
