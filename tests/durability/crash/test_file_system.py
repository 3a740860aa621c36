"""A file system in memory, as far as it need not be mounted: what is kept comes back as it was."""

import os
from pathlib import Path

from durability.crash.validation.file_system import LoopFileSystem

HOLE_BYTES = 1 << 30


def test_what_was_kept_last_is_restored_and_nothing_else(tmp_path: Path) -> None:
    file_system = LoopFileSystem("ext4", "", str(tmp_path))
    root = Path(file_system.root)
    (root / "d").mkdir(parents=True)
    (root / "d/old").write_bytes(b"A")
    file_system.keep()
    (root / "d/old").unlink()
    (root / "d/log").write_bytes(b"B")
    os.symlink("d/log", root / "link")
    file_system.keep()
    for _ in range(2):
        (root / "d/log").write_bytes(b"changed")
        (root / "d/new").write_bytes(b"C")
        (root / "link").unlink()
        file_system.restore()
        assert sorted(path.name for path in root.rglob("*")) == ["d", "link", "log"]
        assert (root / "d/log").read_bytes() == b"B"
        assert os.readlink(root / "link") == "d/log"


def test_a_hole_takes_no_room(tmp_path: Path) -> None:
    file_system = LoopFileSystem("ext4", "", str(tmp_path))
    sparse = Path(file_system.root) / "sparse"
    sparse.parent.mkdir(parents=True)
    sparse.touch()
    os.truncate(sparse, HOLE_BYTES)
    file_system.keep()
    file_system.restore()
    found = sparse.stat()
    assert found.st_size == HOLE_BYTES
    assert found.st_blocks * 512 < HOLE_BYTES // 1000
