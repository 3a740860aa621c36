"""The `metadata` file: who the directory belongs to, the term and the vote.

The layout is that of docs/formats.md, section 'On disk'.
"""

import random
import secrets
import struct
from dataclasses import dataclass
from typing import Self

from crc32c import crc32c

from raft.config import Config
from raft.errors import CorruptionError
from raft.filesystem import Filesystem, read_all, replace_file
from raft.preamble import PREAMBLE_BYTES, encode_preamble, has_magic

METADATA_NAME = "metadata"

# In the place of a durable index: the log lacks entries that the node has held, or may have held.
INCOMPLETE = 2**64 - 1

METADATA_MAGIC = b"RAFTMETA"
_BODY = struct.Struct(f"<{PREAMBLE_BYTES}sQQQQBQQ")
_CRC = struct.Struct("<I")


def draw_directory_id(config: Config) -> int:
    """Draw the id of a new directory: a u64, from `Config.random_seed` where one is given."""
    if config.random_seed is None:
        return secrets.randbits(64)
    identity = f"{config.random_seed}/{config.group_id}/{config.node_id}"
    return random.Random(identity).getrandbits(64)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is durable beside the log. All numbers are u64; `voted_for` is None without a vote.

    `durable_index` is the largest index that was durable in the log when this was written: a log
    that ends below it, and below the snapshot, has lost entries. `INCOMPLETE` stands there as long
    as that is known and is being repaired.
    """

    directory_id: int
    group_id: int
    node_id: int
    current_term: int = 0
    voted_for: int | None = None
    durable_index: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether the log holds all that this node has ever acknowledged."""
        return self.durable_index != INCOMPLETE

    @classmethod
    def read(cls, filesystem: Filesystem) -> Self:
        """Read the file.

        Raises:
            UnsupportedFormatError: a later version wrote it.
            CorruptionError: it is damaged. It was durable before it got its name.
        """
        path = filesystem.path(METADATA_NAME)
        data = read_all(filesystem, METADATA_NAME)
        if not has_magic(data, METADATA_MAGIC, path):
            raise CorruptionError(path, 0, None, "this is not the beginning of a metadata file")
        if len(data) != _BODY.size + _CRC.size:
            raise CorruptionError(path, 0, None, f"it has {len(data)} bytes")
        if _CRC.unpack_from(data, _BODY.size) != (crc32c(data[: _BODY.size]),):
            raise CorruptionError(path, 0, None, "its checksum is wrong")
        _, directory_id, group_id, node_id, term, has_vote, voted_for, durable = _BODY.unpack_from(
            data
        )
        if has_vote > 1 or (voted_for and not has_vote):
            raise CorruptionError(path, 48, None, "its vote is neither given nor absent")
        vote = voted_for if has_vote else None
        return cls(directory_id, group_id, node_id, term, vote, durable)

    def write(self, filesystem: Filesystem) -> None:
        """Replace the file. When this returns it is durable; a crash leaves the old or the new."""
        body = _BODY.pack(
            encode_preamble(METADATA_MAGIC),
            self.directory_id,
            self.group_id,
            self.node_id,
            self.current_term,
            self.voted_for is not None,
            self.voted_for or 0,
            self.durable_index,
        )
        data = body + _CRC.pack(crc32c(body))
        replace_file(filesystem, METADATA_NAME, lambda file: file.append(data))
