import pytest

from fuzz.directories import build_directories
from fuzz.disk import MemoryFilesystem
from fuzz.seal import seal_metadata, seal_segment, seal_snapshot
from raft.errors import CorruptionError
from raft.metadata import Metadata
from raft.segment import read_segment
from raft.snapshot import Snapshot

DIRECTORIES = build_directories()
SEALS = {"metadata": seal_metadata, "snapshot": seal_snapshot}


def test_a_file_that_is_whole_is_sealed_already() -> None:
    for directory in DIRECTORIES:
        for name, content in directory.files.items():
            assert SEALS.get(name, seal_segment)(content) == content


def test_a_damaged_file_is_accepted_once_sealed() -> None:
    files = dict(DIRECTORIES[3].files)
    metadata = bytearray(files["metadata"])
    metadata[40] ^= 1
    with pytest.raises(CorruptionError):
        Metadata.read(MemoryFilesystem({"metadata": bytes(metadata)}))
    read = Metadata.read(MemoryFilesystem({"metadata": seal_metadata(bytes(metadata))}))

    snapshot = bytearray(files["snapshot"])
    snapshot[24] ^= 1
    snapshot[-30] ^= 1
    with pytest.raises(CorruptionError):
        Snapshot.read(MemoryFilesystem({"snapshot": bytes(snapshot)}), read.directory_id)
    sealed = MemoryFilesystem({"snapshot": seal_snapshot(bytes(snapshot))})
    Snapshot.read(sealed, read.directory_id)

    name = min(name for name in files if name.endswith(".segment"))
    segment = bytearray(files[name])
    segment[60 + 8] ^= 1
    first, owner = int(name[:20]), read.directory_id
    assert not read_segment(bytes(segment), name, first, owner, None).entries
    whole = read_segment(seal_segment(bytes(segment)), name, first, owner, None)
    assert whole.flaw is None
    assert whole.entries


@pytest.mark.parametrize("seal", [seal_metadata, seal_segment, seal_snapshot])
def test_what_is_too_short_is_left_as_it_is(seal: object) -> None:
    assert callable(seal)
    for size in (0, 1, 16, 40, 43):
        assert seal(bytes(size)) == bytes(size)
