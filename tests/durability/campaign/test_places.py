"""A full disk is told from a target that fails by itself."""

import errno
import os
from pathlib import Path

import pytest

from durability.audit.violation import Violation
from durability.campaign.places import require_room
from durability.errors import InconclusiveError


def violation(message: str) -> Violation:
    return Violation(kind="recovery-failed", invariant="Recovery succeeds.", message=message)


def test_a_target_that_found_no_room_has_not_failed_though_there_is_room_by_now(
    tmp_path: Path,
) -> None:
    said = f"it exited with 1: head: {os.strerror(errno.ENOSPC)}"
    with pytest.raises(InconclusiveError, match="no space is left on the device of"):
        require_room(str(tmp_path), [violation("lost"), violation(said)])


def test_where_there_is_room_a_violation_is_one(tmp_path: Path) -> None:
    require_room(str(tmp_path))
    require_room(str(tmp_path), [violation("it exited with 1: No such file or directory")])
