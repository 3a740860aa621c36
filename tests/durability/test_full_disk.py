"""A full disk is the machine's fault: it shows nothing about a target, and nothing half is left."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.durability.commands import durability, program

INCONCLUSIVE: Final = 3
_MOUNTED: Final = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'


@pytest.fixture
def disk(tmp_path: Path) -> str:
    """Return where `within` mounts its disk."""
    path = tmp_path / "disk"
    path.mkdir()
    tried = subprocess.run([*within("64k", str(path)), "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("no file system can be mounted, not even in a user namespace")
    return str(path)


def within(size: str, path: str) -> list[str]:
    """Return a command that runs the rest with a small RAM disk, which only that sees."""
    return [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        _MOUNTED,
        "-",
        size,
        path,
    ]


@pytest.mark.parametrize("arguments", [("--kills", "5"), ("--offline",)])
@pytest.mark.parametrize(
    ("size", "said"),
    [
        ("40k", "no space is left on the device"),
        ("128k", "rename-store: no space was left for what it wrote"),
    ],
)
def test_a_program_that_fills_the_disk_is_not_explored(
    size: str, said: str, arguments: tuple[str, ...], disk: str, tmp_path: Path
) -> None:
    done = durability(
        "crash",
        program("rename_store"),
        *arguments,
        "--directory",
        disk,
        cwd=str(tmp_path),
        within=within(size, disk),
    )
    assert done.status == INCONCLUSIVE, done.stdout
    assert done.document["violations"] == []
    assert done.document["reasons"][0].startswith(said)


FILLS_ON_RECOVERY = """
name = "fills"
[run]
command = ["sh", "-c", "echo item a; echo a > {data}/log; echo ack a"]
ack = '^ack (?P<id>.+)$'
item = '^item (?P<id>.+)$'
[recover]
command = ["sh", "-c", "head -c 1000000 /dev/zero > {data}/copy && echo item a"]
item = '^item (?P<id>.+)$'
"""


@pytest.mark.parametrize("arguments", [("--kills", "5"), ("--offline",)])
def test_a_recovery_that_fills_the_disk_is_no_violation(
    arguments: tuple[str, ...], disk: str, tmp_path: Path
) -> None:
    described = tmp_path / "fills.toml"
    described.write_text(FILLS_ON_RECOVERY)
    done = durability(
        "crash",
        str(described),
        *arguments,
        "--directory",
        disk,
        cwd=str(tmp_path),
        within=within("512k", disk),
    )
    assert done.status == INCONCLUSIVE, done.stdout
    assert done.document["violations"] == []
    assert "no space is left on the device" in done.document["reasons"][0]
    enough = durability("crash", str(described), *arguments, cwd=str(tmp_path))
    assert enough.document["violations"] == [], "the control: with room it holds"
    assert enough.document["landed"] == enough.document["kills"] > 0


def test_a_trace_that_does_not_fit_leaves_nothing(disk: str, tmp_path: Path) -> None:
    listed = tmp_path / "listed"
    listing = [
        "sh",
        "-c",
        'path=$1 list=$2; shift 2; "$@"; status=$?; ls -A "$path" > "$list"; exit $status',
    ]
    kept = os.path.join(disk, "trace")
    done = durability(
        "trace",
        "reference",
        "-o",
        kept,
        cwd=str(tmp_path),
        within=[*within("16k", disk), *listing, "-", disk, str(listed)],
    )
    assert done.status == INCONCLUSIVE, done.stdout
    assert "the trace cannot be kept" in done.document["reasons"][0]
    assert listed.read_text() == ""
