"""Kills by the clock: what was not read was perhaps a promise."""

import os
from functools import partial
from pathlib import Path

import pytest

from durability import timed_kill
from durability.recovery import process
from durability.targets.contract import Call
from durability.timed_kill import Timer
from durability.trace.supervisor import Run
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
