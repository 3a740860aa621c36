"""What every file of a data directory begins with: 16 bytes that say what it is.

The layout is that of docs/formats.md, section 'On disk'.
"""

import struct

from crc32c import crc32c

from raft.errors import UnsupportedFormatError
from raft.filesystem import Filesystem

FORMAT_VERSION = 2
SUPPORTED_FEATURES = 0

_PREAMBLE = struct.Struct("<8sHHI")
_U64 = struct.Struct("<Q")

PREAMBLE_BYTES = _PREAMBLE.size


def encode_preamble(magic: bytes) -> bytes:
    """Encode the beginning of a file with this magic, 8 bytes."""
    return _PREAMBLE.pack(magic, FORMAT_VERSION, 0, SUPPORTED_FEATURES)


def has_magic(data: bytes, magic: bytes, path: str) -> bool:
    """Say whether a file that begins with `data` is of the kind that `magic` names.

    False says that it is damaged. Only the checksum of what follows can say that it is not.

    Raises:
        UnsupportedFormatError: it is of that kind, in a version or with features of a later day.
    """
    if len(data) < PREAMBLE_BYTES:
        return False
    found, version, reserved, features = _PREAMBLE.unpack_from(data)
    if found != magic:
        return False
    if version != FORMAT_VERSION:
        raise UnsupportedFormatError(
            f"{path} has format version {version}; this program reads version {FORMAT_VERSION}"
        )
    if unknown := features & ~SUPPORTED_FEATURES:
        raise UnsupportedFormatError(
            f"{path} requires features {unknown:#x}, which this program does not know"
        )
    return bool(reserved == 0)


def begins_with(filesystem: Filesystem, name: str, magic: bytes) -> bool:
    """Say of a file that is there what `has_magic` says.

    Raises:
        UnsupportedFormatError: as `has_magic`.
    """
    file = filesystem.open(name)
    try:
        return has_magic(file.read(0, PREAMBLE_BYTES), magic, filesystem.path(name))
    finally:
        file.close()


def checksum_seed(directory_id: int) -> int:
    """Derive the CRC from which those of a directory's records continue."""
    return crc32c(_U64.pack(directory_id))
