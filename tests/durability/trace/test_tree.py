"""The tree's own rules; that they are the kernel's is shown in `test_as_natively`."""

import os
import random
from pathlib import Path

import pytest

from durability.errors import MechanismError
from durability.trace.records import (
    Allocate,
    AnyRecord,
    Link,
    MakeDirectory,
    Open,
    Rename,
    Symlink,
    Truncate,
    Unlink,
    Write,
)
from durability.trace.tree import FILE_BYTES_MAX, Tree, initial_records

FILE: list[AnyRecord] = [
    Open(1, 1, b"f", os.O_CREAT, created=True),
    Write(1, 1, b"f", 0, b"0123456789", 10),
]


def content(*records: AnyRecord) -> bytes:
    tree = Tree([*FILE, *records])
    return bytes(tree.contents[tree.files[b"f"]])


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (Write(1, 1, b"f", 12, b"ab", 2), b"0123456789\0\0ab"),
        (Write(1, 1, b"f", 8, b"abcd", 4), b"01234567abcd"),
        (Truncate(1, 1, b"f", 3), b"012"),
        (Truncate(1, 1, b"f", 12), b"0123456789\0\0"),
        (Allocate(1, 1, b"f", 0, 8, 4), b"0123456789\0\0"),
        (Allocate(1, 1, b"f", 1, 8, 4), b"0123456789"),
        (Allocate(1, 1, b"f", 3, 8, 4), b"01234567\0\0"),
        (Allocate(1, 1, b"f", 0x10, 8, 4), b"01234567\0\0\0\0"),
        (Allocate(1, 1, b"f", 0x11, 8, 4), b"01234567\0\0"),
        (Allocate(1, 1, b"f", 3, 20, 4), b"0123456789"),
        (Allocate(1, 1, b"f", 8, 2, 4), b"016789"),
        (Allocate(1, 1, b"f", 0x20, 2, 3), b"01\0\0\x0023456789"),
        (Open(1, 1, b"f", os.O_TRUNC, created=False), b""),
        (Open(1, 1, b"f", os.O_CREAT, created=False), b"0123456789"),
    ],
)
def test_contents(record: AnyRecord, expected: bytes) -> None:
    assert content(record) == expected


@pytest.mark.parametrize(
    "record",
    [
        Truncate(1, 1, b"f", FILE_BYTES_MAX + 1),
        Write(1, 1, b"f", 2**62, b"x", 1),
        Allocate(1, 1, b"f", 0, 2**62, 1),
        Allocate(1, 1, b"f", 0x20, 0, 2**62),
    ],
)
def test_a_file_beyond_memory_is_named(record: AnyRecord) -> None:
    with pytest.raises(MechanismError, match="bytes was made"):
        content(record)


def test_a_directory_moves_with_all_below_and_nothing_beside() -> None:
    tree = Tree(
        [
            MakeDirectory(1, b"d"),
            MakeDirectory(1, b"d/e"),
            MakeDirectory(1, b"de"),
            Open(1, 1, b"d/e/f", os.O_CREAT, created=True),
            Symlink(1, b"d/s", b"x"),
            Open(1, 2, b"de/f", os.O_CREAT, created=True),
            Rename(1, b"d", b"n"),
        ]
    )
    assert tree.directories == {b"n", b"n/e", b"de"}
    assert set(tree.files) == {b"n/e/f", b"de/f"}
    assert tree.links == {b"n/s": b"x"}


def test_an_exchange_swaps_unlike_things() -> None:
    tree = Tree([*FILE, MakeDirectory(1, b"d"), Link(1, 1, b"d/g"), Rename(1, b"f", b"d", True)])
    assert (tree.directories, tree.files) == ({b"f"}, {b"d": 1, b"f/g": 1})


def test_an_unlinked_file_keeps_its_content_for_its_other_names() -> None:
    tree = Tree([*FILE, Link(1, 1, b"g"), Unlink(1, b"f"), Write(1, 1, b"f", 0, b"x", 1)])
    assert bytes(tree.contents[tree.files[b"g"]]) == b"x123456789"
    assert b"f" not in tree.files


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "f").write_bytes(b"content")
    os.symlink("d", tmp_path / "s")
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


def test_a_tree_read_from_disk_is_that_disk(disk: Path) -> None:
    tree = numbered(disk)
    assert tree.differences(os.fsencode(disk)) == []
    copy = disk.parent / "copy"
    copy.mkdir()
    tree.write_to(os.fsencode(copy))
    assert tree.differences(os.fsencode(copy)) == []


def numbered(root: Path) -> Tree:
    return Tree(initial_records(os.fsencode(root), lambda status: status.st_ino))


def spoil_content(root: Path) -> None:
    (root / "d" / "f").write_bytes(b"contenT")


def lengthen(root: Path) -> None:
    (root / "d" / "f").write_bytes(b"content!")


def remove(root: Path) -> None:
    (root / "d" / "f").unlink()


def add(root: Path) -> None:
    (root / "d" / "g").touch()


def add_directory(root: Path) -> None:
    (root / "g").mkdir()


def remove_directory(root: Path) -> None:
    (root / "d" / "e").rmdir()


def redirect(root: Path) -> None:
    (root / "s").unlink()
    os.symlink("e", root / "s")


def replace_link(root: Path) -> None:
    (root / "s").unlink()
    (root / "s").mkdir()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (spoil_content, ["file d/f is 7 bytes on disk, 7 in the trace, and differs from byte 6"]),
        (lengthen, ["file d/f is 8 bytes on disk, 7 in the trace, and differs from byte 7"]),
        (remove, ["file d/f is not on disk"]),
        (add, ["file d/g is not in the trace"]),
        (add_directory, ["directory g is not in the trace"]),
        (remove_directory, ["directory d/e is not on disk"]),
        (redirect, ["symbolic link s leads elsewhere"]),
        (replace_link, ["directory s is not in the trace", "symbolic link s is not on disk"]),
    ],
)
def test_each_kind_of_difference_is_told(disk: Path, change: object, expected: list[str]) -> None:
    tree = numbered(disk)
    assert callable(change)
    change(disk)
    assert tree.differences(os.fsencode(disk)) == expected


def test_any_flipped_byte_is_found(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(10_000)
    tree = Tree([Open(1, 1, b"f", 0, created=True), Write(1, 1, b"f", 0, data, len(data))])
    for at in (0, 4095, 9_999):
        flipped = bytearray(data)
        flipped[at] ^= 1
        (tmp_path / "f").write_bytes(flipped)
        (text,) = tree.differences(os.fsencode(tmp_path))
        assert text.endswith(f"differs from byte {at}")


def test_what_is_there_before_is_read_without_its_holes(tmp_path: Path) -> None:
    size = 1 << 24
    with open(tmp_path / "sparse", "wb") as file:
        file.write(b"begin")
        file.seek(1 << 20)
        file.write(b"middle")
        file.truncate(size)
    (tmp_path / "empty").touch()
    os.truncate(tmp_path / "empty", 0)
    with open(tmp_path / "hole", "wb") as file:
        file.truncate(5000)
    records = initial_records(os.fsencode(tmp_path), lambda status: status.st_ino)
    assert sum(len(record.data) for record in records if isinstance(record, Write)) < size // 16
    tree = Tree(records)
    assert tree.differences(os.fsencode(tmp_path)) == []
    assert {path: len(tree.contents[file]) for path, file in tree.files.items()} == {
        b"sparse": size,
        b"empty": 0,
        b"hole": 5000,
    }


@pytest.mark.parametrize("at", [0, 65_535, 65_536, 150_000, 199_999])
def test_a_difference_anywhere_in_a_long_file(at: int, tmp_path: Path) -> None:
    content = bytearray(range(250)) * 800
    (tmp_path / "f").write_bytes(content)
    tree = numbered(tmp_path)
    assert tree.differences(os.fsencode(tmp_path)) == []
    content[at] ^= 1
    (tmp_path / "f").write_bytes(content)
    assert tree.differences(os.fsencode(tmp_path)) == [
        f"file f is 200000 bytes on disk, 200000 in the trace, and differs from byte {at}"
    ]


@pytest.mark.parametrize("length", [0, 65_536, 70_000, 131_072, 250_000])
def test_a_long_file_of_another_length(length: int, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(131_073))
    tree = numbered(tmp_path)
    (tmp_path / "f").write_bytes(bytes(length))
    (text,) = tree.differences(os.fsencode(tmp_path))
    assert text.startswith(f"file f is {length} bytes on disk, 131073 in the trace")
    assert text.endswith(f"differs from byte {min(length, 131_073)}")
