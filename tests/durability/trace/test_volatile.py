"""Files that recovery does not trust: what is mapped into them neither spoils a run nor counts."""

import mmap
import os
from functools import partial
from pathlib import Path

import pytest

from durability.targets.contract import Call
from durability.trace.kill_order import KillOrder
from durability.trace.supervisor import Run, Supervisor
from durability.trace.volatile import Volatile
from tests.durability.trace.alone import alone


def map_and_write(directory: Path) -> None:
    with open(directory / "db-shm", "w+b") as file:
        file.truncate(4096)
        mapped = mmap.mmap(file.fileno(), 4096)
        mapped[:5] = b"store"
    os.write(os.open(directory / "db", os.O_WRONLY | os.O_CREAT), b"data")


def run(root: Path, *volatile: str) -> Run:
    target = Call(partial(map_and_write, root))
    return alone(lambda: Supervisor(None, volatile).run(target, str(root), KillOrder(4)))


def test_a_mapped_volatile_file_spoils_nothing(root: Path) -> None:
    result = run(root, "*-shm")
    assert result.trace.untraceable() == []
    assert result.differences == []
    assert result.landed()
    assert (root / "db-shm").read_bytes().startswith(b"store")


@pytest.mark.parametrize("volatile", [(), ("*-sh",), ("other", "*.shm")])
def test_any_other_file_does(root: Path, volatile: tuple[str, ...]) -> None:
    result = run(root, *volatile)
    assert result.trace.untraceable() == ["mmap of db-shm"]
    assert len(result.differences) == 1
    assert not result.landed()


def test_the_name_of_a_volatile_file_still_counts(root: Path) -> None:
    result = run(root, "*-shm")
    (root / "db-shm").unlink()
    tree = result.trace.tree()
    assert tree.differences(os.fsencode(root), Volatile(("*-shm",))) == [
        "file db-shm is not on disk"
    ]


def test_patterns() -> None:
    volatile = Volatile(("*-shm", "cache/?"))
    assert [path in volatile for path in (b"a-shm", b"d/a-shm", b"cache/1", b"\xff-shm")] == [
        True
    ] * 4
    assert [path in volatile for path in (b"a-shm2", b"cache/12", b"x/cache/1", b"")] == [False] * 4
    assert b"anything" not in Volatile()
