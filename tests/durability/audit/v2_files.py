"""Writes v2 files from docs/formats.md alone: neither the node's code nor the auditor's.

The checksum is its own too, so that not even a library's convention is shared.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

DIRECTORY_ID = 0x0123456789ABCDEF
NORMAL, CONFIGURATION, NOOP = 0, 1, 2


def _divide(crc: int) -> int:
    for _ in range(8):
        crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc


_TABLE = tuple(map(_divide, range(256)))


def crc32c(data: bytes, crc: int = 0) -> int:
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def u8(value: int) -> bytes:
    return value.to_bytes(1, "little")


def u16(value: int) -> bytes:
    return value.to_bytes(2, "little")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def preamble(magic: bytes, version: int = 2, features: int = 0, zero: int = 0) -> bytes:
    return magic + u16(version) + u16(zero) + u32(features)


def sealed(data: bytes) -> bytes:
    return data + u32(crc32c(data))


def peer_list(*ids: int, role: int = 0) -> bytes:
    peers = (u64(peer) + u8(role) + u16(3) + b"a:1" for peer in ids)
    return u32(len(ids)) + b"".join(peers)


def metadata(
    *,
    directory_id: int = DIRECTORY_ID,
    group_id: int = 7,
    node_id: int = 1,
    term: int = 3,
    has_vote: int = 1,
    voted_for: int = 1,
    durable_index: int = 0,
    head: bytes = preamble(b"RAFTMETA"),
) -> bytes:
    return sealed(
        head
        + u64(directory_id)
        + u64(group_id)
        + u64(node_id)
        + u64(term)
        + u8(has_vote)
        + u64(voted_for)
        + u64(durable_index)
    )


@dataclass(frozen=True)
class Record:
    """`durable_index` is by default what it is when each record is a batch of its own."""

    index: int
    term: int
    payload: bytes = b""
    type: int = NORMAL
    durable_index: int | None = None

    def encode(self, previous_crc: int, seed: int) -> bytes:
        durable_index = self.index - 1 if self.durable_index is None else self.durable_index
        body = (
            u32(previous_crc)
            + u64(durable_index)
            + u64(self.term)
            + u64(self.index)
            + u8(self.type)
            + u32(len(self.payload))
            + self.payload
        )
        return u32(crc32c(body, seed)) + body


@dataclass
class LogWriter:
    """Writes segments one after the other, each continuing the one before."""

    directory_id: int = DIRECTORY_ID
    term: int = 0
    next_index: int = 1
    crc: int = field(init=False)

    def __post_init__(self) -> None:
        self.crc = self.seed

    @property
    def seed(self) -> int:
        return crc32c(u64(self.directory_id))

    def segment(
        self,
        records: Iterable[Record],
        *,
        head: bytes = preamble(b"RAFTSEGM"),
        reserved: int = 0,
    ) -> bytes:
        durable_index = self.next_index - 1
        header = u64(self.directory_id) + u64(self.next_index) + u64(self.term)
        header += u64(durable_index) + u32(self.crc) + u32(reserved)
        parts = [sealed(head + header)]
        for record in records:
            encoded = record.encode(self.crc, self.seed)
            self.crc = int.from_bytes(encoded[:4], "little")
            self.term = record.term
            self.next_index = record.index + 1
            parts.append(encoded)
        return b"".join(parts)


def snapshot(
    index: int,
    term: int,
    chunks: Sequence[bytes] = (b"state-", b"machine"),
    *,
    peers: bytes = peer_list(1),
    directory_id: int = DIRECTORY_ID,
    total: int | None = None,
    head: bytes = preamble(b"RAFTSNAP"),
) -> bytes:
    data = sealed(head + u64(directory_id) + u64(index) + u64(term) + u32(len(peers)) + peers)
    crc = int.from_bytes(data[-4:], "little")
    for chunk in chunks:
        crc = crc32c(u32(len(chunk)) + chunk, crc)
        data += u32(crc) + u32(len(chunk)) + chunk
    end = u32(0) + u64(sum(map(len, chunks)) if total is None else total)
    return data + u32(crc32c(end, crc)) + end


def name(first_index: int) -> str:
    return f"{first_index:020d}.segment"


def segments(*groups: Sequence[Record], writer: LogWriter | None = None) -> dict[str, bytes]:
    """Write one segment for each group, in order."""
    writer = writer or LogWriter()
    return {name(group[0].index): writer.segment(group) for group in groups}


def example() -> dict[str, bytes]:
    """A directory with all there is: nine entries, a snapshot at 4, an obsolete segment below it.

    Entries 8 and 9 are one batch, the last: what is known to be durable ends at 7.
    """
    log = segments(
        [Record(1, 1, peer_list(1), CONFIGURATION), Record(2, 1, b"", NOOP)],
        [Record(3, 1, b"three"), Record(4, 1, b"four"), Record(5, 2, b"", NOOP)],
        [Record(6, 2, b"six"), Record(7, 2, b"")],
        [Record(8, 3, b"eight", durable_index=7), Record(9, 3, b"nine", durable_index=7)],
    )
    return {"metadata": metadata(durable_index=4), "snapshot": snapshot(4, 1), **log}


def write(path: str | os.PathLike[str], files: Mapping[str, bytes]) -> str:
    """Write the files into a directory; return its path."""
    os.makedirs(path, exist_ok=True)
    for file, data in files.items():
        with open(os.path.join(path, file), "wb") as target:
            target.write(data)
    return os.fspath(path)
