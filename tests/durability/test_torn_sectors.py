"""Disks that tear pages: what is broken there only, and what holds even there."""

from pathlib import Path

import pytest

from durability import check
from durability.errors import UsageError
from durability.report.crash_state import LossViolation
from tests.durability.commands import ROOT, durability, program
from tests.stores import log_store, overwriting_store

HELD, VIOLATION, USAGE = range(3)
STORE = f"{ROOT}/tests/stores/overwriting_store.py:overwrite:recover"


@pytest.mark.parametrize(
    ("name", "options", "status", "kinds"),
    [
        ("unchecked_page", (), HELD, set()),
        ("unchecked_page", ("--sector-bytes", "512"), VIOLATION, {"invented", "lost"}),
        ("page_store", ("--sector-bytes", "512"), HELD, set()),
    ],
)
def test_a_page_whose_checksum_nobody_checks_must_not_be_torn(
    name: str, options: tuple[str, ...], status: int, kinds: set[str], tmp_path: Path
) -> None:
    few = ("--model", "ext4-ordered", "--states", "64", "--seed", "1", "--measure", "1")
    done = durability("powerloss", program(name), *few, *options, cwd=str(tmp_path))
    assert done.status == status, done.stdout + done.stderr
    assert {violation["kind"] for violation in done.document["violations"]} == kinds
    assert list(done.document["models"]) == [f"ext4-ordered{'-torn-512' if options else ''}"]
    assert done.document["explored"] == 64
    for violation in done.document["violations"]:
        assert violation["strongest_model"].endswith("-torn-512")
        assert "512 bytes of pages at" in violation["lost"][0]["operation"]


@pytest.mark.parametrize("model", ["ext4-ordered", "xfs"])
def test_a_store_that_is_functions_is_torn_too(model: str, tmp_path: Path) -> None:
    def checked(sector_bytes: int) -> list[str]:
        found = check(
            overwriting_store.overwrite,
            overwriting_store.recover,
            models=[model],
            sector_bytes=sector_bytes,
            kills=0,
            findings=str(tmp_path),
        )
        return [violation.strongest_model or "" for violation in found.violations]

    assert checked(4096) == []
    (strongest,) = checked(1024)
    assert strongest.endswith("-torn-1024")


def test_what_needs_no_tear_is_told_without_one(tmp_path: Path) -> None:
    (found,) = check(
        log_store.unsynced,
        log_store.recover,
        models=["xfs"],
        sector_bytes=512,
        kills=0,
        findings=str(tmp_path),
    ).violations
    assert isinstance(found, LossViolation)
    assert (found.model, found.strongest_model) == ("xfs-torn-512", "ext4-datajournal")


def test_lint_tells_each_sector(tmp_path: Path) -> None:
    target = f"{ROOT}/tests/stores/log_store.py:unsynced:recover"
    done = durability("lint", target, "--model", "xfs", "--sector-bytes", "512", cwd=str(tmp_path))
    assert done.status == VIOLATION
    assert {found["model"] for found in done.document["findings"]} == {"xfs-torn-512"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("powerloss", STORE, "--sector-bytes", "513"),
        ("powerloss", STORE, "--sector-bytes", "256"),
        ("powerloss", STORE, "--sector-bytes", "512", "--confirm"),
        ("lint", STORE, "--sector-bytes", "513"),
    ],
)
def test_what_no_disk_does_is_refused(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert durability(*arguments, cwd=str(tmp_path)).status == USAGE


def test_a_size_that_no_sector_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no sector has 100 bytes"):
        check(
            overwriting_store.overwrite,
            overwriting_store.recover,
            sector_bytes=100,
            findings=str(tmp_path),
        )
