import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from raft.errors import CorruptionError
from raft.filesystem import Filesystem, LocalFilesystem
from raft.peer import Peer, PeerRole, encode_peers
from raft.snapshot import MAX_CHUNK_BYTES, Snapshot, SnapshotReader
from tests.raft.disks import Disk, MemoryFilesystem

PEERS = (Peer(3, PeerRole.VOTER, "a:1"), Peer(4, PeerRole.LEARNER, ""))
SNAPSHOT = Snapshot(11, 5, 2, PEERS)


def body(filesystem: Filesystem) -> list[bytes]:
    reader = SnapshotReader(filesystem)
    try:
        chunks = list(reader.chunks())
        assert reader.body_bytes() == sum(len(chunk) for chunk in chunks)
        return chunks
    finally:
        reader.close()


def written(snapshot: Snapshot, chunks: list[bytes]) -> dict[str, bytes]:
    disk = Disk()
    snapshot.write(MemoryFilesystem(disk), chunks)
    assert disk.after_kill() == disk.after_power_cut()
    return disk.after_kill()


@given(st.lists(st.binary(max_size=50)))
def test_what_was_written_is_read(chunks: list[bytes]) -> None:
    filesystem = MemoryFilesystem(Disk.of(written(SNAPSHOT, chunks)))
    snapshot = Snapshot.read(filesystem, 11)
    assert snapshot == SNAPSHOT
    assert b"".join(body(filesystem)) == b"".join(chunks)


def test_the_layout_is_the_documented_one() -> None:
    peers = encode_peers(PEERS)
    header = b"RAFTSNAP" + struct.pack("<HHIQQQI", 2, 0, 0, 11, 5, 2, len(peers)) + peers
    crc = crc32c(header)
    data = header + struct.pack("<I", crc)
    for chunk in (b"first", b"second"):
        sized = struct.pack("<I", len(chunk)) + chunk
        crc = crc32c(sized, crc)
        data += struct.pack("<I", crc) + sized
    end = struct.pack("<IQ", 0, 11)
    data += struct.pack("<I", crc32c(end, crc)) + end
    assert written(SNAPSHOT, [b"first", b"", b"second"]) == {"snapshot": data}


def test_chunks_are_cut_at_the_limit() -> None:
    filesystem = MemoryFilesystem(Disk.of(written(SNAPSHOT, [b"x" * (2 * MAX_CHUNK_BYTES + 1)])))
    assert [len(chunk) for chunk in body(filesystem)] == [
        MAX_CHUNK_BYTES,
        MAX_CHUNK_BYTES,
        1,
    ]


def test_a_chunk_beyond_the_limit_is_corrupt_whatever_its_checksum() -> None:
    data = bytearray(written(SNAPSHOT, [])["snapshot"])
    struct.pack_into("<I", data, len(data) - 12, MAX_CHUNK_BYTES + 1)
    with pytest.raises(CorruptionError, match=f"a chunk of {MAX_CHUNK_BYTES + 1} bytes"):
        Snapshot.read(MemoryFilesystem(Disk.of({"snapshot": bytes(data)})), 11)


def test_a_peer_list_that_is_none_is_corrupt_whatever_its_checksum() -> None:
    header = b"RAFTSNAP" + struct.pack("<HHIQQQI", 2, 0, 0, 11, 5, 2, 1) + b"?"
    data = header + struct.pack("<I", crc32c(header))
    with pytest.raises(CorruptionError, match="peer list"):
        Snapshot.read(MemoryFilesystem(Disk.of({"snapshot": data})), 11)


def test_a_claimed_size_is_not_allocated_d32() -> None:
    header = b"RAFTSNAP" + struct.pack("<HHIQQQI", 2, 0, 0, 11, 5, 2, 2**32 - 1)
    filesystem = MemoryFilesystem(Disk.of({"snapshot": header}))
    tracemalloc.start()
    try:
        with pytest.raises(CorruptionError, match="inside its header"):
            Snapshot.read(filesystem, 11)
        assert tracemalloc.get_traced_memory()[1] < 2**16
    finally:
        tracemalloc.stop()


def test_a_snapshot_is_a_stream_in_memory_of_one_chunk(tmp_path: Path) -> None:
    filesystem = LocalFilesystem(tmp_path)
    count = 24

    def chunks() -> Iterator[bytes]:
        for number in range(count):
            yield bytes([number]) * MAX_CHUNK_BYTES

    tracemalloc.start()
    try:
        SNAPSHOT.write(filesystem, chunks())
        snapshot = Snapshot.read(filesystem, 11)
        assert snapshot == SNAPSHOT
        reader = SnapshotReader(filesystem)
        for number, chunk in enumerate(reader.chunks()):
            assert (chunk[0], chunk[-1], len(chunk)) == (number, number, MAX_CHUNK_BYTES)
        assert number == count - 1
        reader.close()
        assert tracemalloc.get_traced_memory()[1] < 5 * MAX_CHUNK_BYTES
    finally:
        tracemalloc.stop()
        filesystem.close()


def test_an_open_snapshot_stays_the_same_when_another_takes_its_name(tmp_path: Path) -> None:
    """From the moment it is opened, not from when it is first read."""
    for filesystem in (MemoryFilesystem(Disk()), LocalFilesystem(tmp_path)):
        SNAPSHOT.write(filesystem, [b"old"])
        reader = SnapshotReader(filesystem)
        Snapshot(11, 9, 2, ()).write(filesystem, [b"newer"])
        assert reader.snapshot == SNAPSHOT
        assert (reader.body_bytes(), list(reader.chunks())) == (3, [b"old"])
        reader.close()
        assert body(filesystem) == [b"newer"]
        filesystem.close()
