"""Kills by the clock."""

import os
from functools import partial
from pathlib import Path

import pytest

from durability.campaign import timed_kill
from durability.campaign.timed_kill import Timer
from durability.recovery import process
from durability.targets.contract import Call
from durability.targets.program import load_program
from durability.trace.kill_order import KillOrder
from durability.trace.supervisor import Run
from tests.durability.commands import program
from tests.durability.trace.alone import alone


@pytest.mark.parametrize("printed_bytes", [10, 11])
def test_a_run_that_printed_more_than_is_kept_has_not_landed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed_bytes: int
) -> None:
    limited = partial(process.run, stdout_limit_bytes=10)
    monkeypatch.setattr(timed_kill.process, "run", limited)

    def run() -> Run:
        return Timer().run(Call(lambda: os.write(1, b"x" * printed_bytes)), str(tmp_path))

    expected = [] if printed_bytes == 10 else ["it printed 11 bytes, of which 10 were kept"]
    assert alone(run).differences == expected


@pytest.mark.parametrize(("order", "landed"), [(None, False), (KillOrder(1), True)])
def test_a_server_is_driven_by_its_client(
    order: KillOrder | None, landed: bool, tmp_path: Path
) -> None:
    def run() -> Run:
        target = load_program(program("served"))
        return Timer().run(target.workload(str(tmp_path)), str(tmp_path), order)

    ended = alone(run)
    assert ended.landed() is landed
    assert len(ended.trace.lines()) == (0 if landed else 2 * 200)
    assert not ended.timed_out
