"""The directories that are damaged, the damage, and that a wrong recovery would be noticed."""

import pytest

from fuzz.damage import Damage, damage
from fuzz.directories import build_directories
from fuzz.disk import KilledError, MemoryFilesystem
from fuzz.targets.recovery import check
from raft.storage import Storage

DIRECTORIES = build_directories()


def step(kind: Damage, *, file: int = 0, offset: int = 0, size: int = 0, value: int = 0) -> bytes:
    return (
        bytes([kind, file])
        + offset.to_bytes(4, "little")
        + size.to_bytes(2, "little")
        + bytes([value])
    )


@pytest.mark.parametrize("number", range(len(DIRECTORIES)))
def test_each_directory_recovers_with_all_that_was_written(number: int) -> None:
    directory = DIRECTORIES[number]
    filesystem = MemoryFilesystem(directory.files)
    storage = Storage(filesystem, directory.config)
    assert storage.log.last_index == len(directory.entries)
    assert storage.recovery.tail == "clean"
    assert (filesystem.files == directory.files) is directory.is_settled
    assert storage.metadata.is_complete is directory.is_complete
    assert directory == build_directories()[number]


def test_the_tail_is_what_was_not_acknowledged() -> None:
    for directory in DIRECTORIES:
        name, offset = directory.tail_name, directory.tail_offset
        files = {**directory.files, name: directory.files[name][:offset]}
        storage = Storage(MemoryFilesystem(files), directory.config)
        assert storage.log.last_index == directory.acknowledged_index


@pytest.mark.parametrize("kind", Damage)
def test_every_kind_of_damage_does_something_somewhere(kind: Damage) -> None:
    changed = 0
    for number, directory in enumerate(DIRECTORIES):
        for file in range(len(directory.files)):
            program = bytes([number, 255]) + step(kind, file=file, offset=30, size=40, value=4)
            if kind is Damage.SEAL:
                program = program[:2] + step(Damage.FLIP_BIT, file=file, offset=30) + program[2:]
            damaged = damage(program, DIRECTORIES)
            assert damaged is not None
            assert damaged.sealed is (kind is Damage.SEAL)
            changed += damaged.files != directory.files
            check(program)
    assert changed


def test_only_the_tail_is_damaged() -> None:
    directory = DIRECTORIES[1]
    file = sorted(directory.files).index(directory.tail_name)
    for offset, only_tail in ((directory.tail_offset, True), (directory.tail_offset - 1, False)):
        program = bytes([1, 255]) + step(Damage.FLIP_BIT, file=file, offset=offset)
        damaged = damage(program, DIRECTORIES)
        assert damaged is not None
        assert damaged.only_tail_is_damaged is only_tail


def test_a_kill_comes_before_the_operation() -> None:
    filesystem = MemoryFilesystem({}, operations_left=2)
    filesystem.create("a").append(b"written")
    with pytest.raises(KilledError):
        filesystem.rename("a", "b")
    assert filesystem.files == {"a": b"written"}
