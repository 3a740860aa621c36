"""This machine's kernel as the judge of the models; few cuts, many are made by hand.

`python -m durability.crash.validation ext4-ordered xfs btrfs --cuts 2000` makes the many.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from durability.crash.validation.axioms import AXIOMS
from durability.crash.validation.file_system import unavailable
from durability.crash.validation.judge import FILE_SYSTEMS, Judgement

CUTS = 2 * len(AXIOMS)
COMMAND = (sys.executable, "-m", "durability.crash.validation")


class Report(msgspec.Struct):
    judgements: list[Judgement]


def judged(model: str, report: Path) -> Judgement:
    command = [*COMMAND, model, "--cuts", str(CUTS), "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return msgspec.json.decode(report.read_bytes(), type=Report).judgements[0]


@pytest.mark.parametrize("model", FILE_SYSTEMS)
def test_the_kernel_leaves_nothing_that_its_model_does_not_permit(
    model: str, tmp_path: Path
) -> None:
    reason = unavailable(FILE_SYSTEMS[model][0])
    if reason is not None:
        pytest.skip(reason)
    judgement = judged(model, tmp_path / "report.json")
    assert judgement.cuts == CUTS
    assert not judgement.unexplained
    assert not judgement.untried
    assert judgement.cut_short < CUTS // 4
    # Most harms are shown at every cut; those that a race decides are asked for in the many cuts.
    permitted = [axiom for axiom in AXIOMS if model in axiom.shown_by]
    assert len(judgement.missing) <= len(permitted) // 2


def test_a_model_that_permits_too_little_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XFS judged by a model that keeps everything in order: a known-bad control."""
    reason = unavailable("xfs")
    if reason is not None:
        pytest.skip(reason)
    program = (
        "from durability.crash import models\n"
        "import msgspec\n"
        "strict = msgspec.structs.replace(models.MODELS['ext4-datajournal'], name='xfs')\n"
        "models.MODELS['xfs'] = strict\n"
        "import runpy, sys\n"
        f"sys.argv[1:] = ['xfs', '--cuts', '{CUTS}']\n"
        "runpy.run_module('durability.crash.validation', run_name='__main__')\n"
    )
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "not explained, run" in done.stdout


def test_nothing_is_left_behind_by_a_run_that_is_killed() -> None:
    reason = unavailable("ext4")
    if reason is not None:
        pytest.skip(reason)
    before = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    command = [*COMMAND, "ext4-ordered", "--cuts", "100000"]
    with subprocess.Popen(command, process_group=0) as running:
        mounts = Path(f"/proc/{running.pid}/mountinfo")
        while " ext4 /dev/loop" not in mounts.read_text(encoding="utf-8"):
            assert running.poll() is None
        os.killpg(running.pid, signal.SIGKILL)
    after = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    assert after == before
