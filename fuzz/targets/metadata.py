"""Invariant tested: a `metadata` file is read as what was written, or a typed error refuses it.

Each input is a file. It is tested as it is, and once more with its checksum put right.
"""

from contextlib import suppress
from typing import Final

from fuzz.disk import MemoryFilesystem
from fuzz.laws import BrokenLawError, Buffer, Encoding
from fuzz.layout import Layout
from fuzz.seal import seal_metadata
from fuzz.specification import files
from fuzz.target import Target
from raft.errors import CorruptionError, StorageError
from raft.metadata import METADATA_NAME, Metadata

_INCOMPLETE: Final = 2**64 - 1
"""The durable index of a log that lacks entries (docs/formats.md)."""

METADATA: Final = Layout((8, 2, 2, 4, 8, 8, 8, 8, 1, 8, 8, 4))


def check(data: bytes) -> None:
    """Hold one file, and the same one sealed, against every law."""
    for content in (data, seal_metadata(data)):
        _ENCODING.check(content)
        with suppress(StorageError):
            metadata = _decode(content)
            if metadata.is_complete is (metadata.durable_index == _INCOMPLETE):
                raise BrokenLawError(f"it says that it is complete, or not: {metadata}")


def _probe(data: bytes) -> None:
    _ENCODING.probe(data)
    _ENCODING.probe(seal_metadata(data))


def _decode(data: Buffer) -> Metadata:
    return Metadata.read(MemoryFilesystem({METADATA_NAME: bytes(data)}))


def _encode(metadata: Metadata) -> bytes:
    filesystem = MemoryFilesystem({})
    metadata.write(filesystem)
    return filesystem.files[METADATA_NAME]


_ENCODING: Final = Encoding(
    decode=_decode,
    encode=_encode,
    specification=files.metadata,
    error=StorageError,
    truncated=CorruptionError,
    trailing=CorruptionError,
)

TARGET: Final = Target(check=check, probe=_probe, layout=METADATA)
