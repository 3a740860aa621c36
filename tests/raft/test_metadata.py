import struct

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from raft.errors import CorruptionError
from raft.metadata import Metadata
from tests.raft.disks import Disk, MemoryFilesystem

U64 = st.integers(0, 2**64 - 1)
METADATA = st.builds(Metadata, U64, U64, U64, U64, st.none() | U64, U64)


def written(metadata: Metadata) -> bytes:
    disk = Disk()
    metadata.write(MemoryFilesystem(disk))
    assert disk.after_kill() == disk.after_power_cut()
    (data,) = disk.after_kill().values()
    return data


def read(data: bytes) -> Metadata:
    return Metadata.read(MemoryFilesystem(Disk.of({"metadata": data})))


@given(METADATA)
def test_what_was_written_is_read(metadata: Metadata) -> None:
    assert read(written(metadata)) == metadata


def test_the_layout_is_the_documented_one() -> None:
    body = b"RAFTMETA" + struct.pack("<HHIQQQQBQQ", 2, 0, 0, 1, 2, 3, 4, 1, 5, 6)
    data = written(Metadata(1, 2, 3, 4, 5, 6))
    assert data == body + struct.pack("<I", crc32c(body))
    assert len(data) == 69


def test_a_vote_for_node_0_is_not_no_vote() -> None:
    assert read(written(Metadata(1, 2, 3, 4, 0))).voted_for == 0
    assert read(written(Metadata(1, 2, 3, 4, None))).voted_for is None


@pytest.mark.parametrize(("has_vote", "voted_for"), [(2, 5), (0, 5)])
def test_a_vote_that_is_neither_given_nor_absent_is_corrupt(has_vote: int, voted_for: int) -> None:
    body = bytearray(written(Metadata(1, 2, 3, 4, 5))[:-4])
    struct.pack_into("<BQ", body, 48, has_vote, voted_for)
    with pytest.raises(CorruptionError, match="vote"):
        read(bytes(body) + struct.pack("<I", crc32c(body)))


def test_a_new_metadata_replaces_the_old_in_one_step() -> None:
    disk = Disk.of({"metadata": written(Metadata(1, 2, 3, 4, 5))})
    Metadata(1, 2, 3, 9).write(MemoryFilesystem(disk))
    assert disk.after_power_cut() == {"metadata": written(Metadata(1, 2, 3, 9))}
