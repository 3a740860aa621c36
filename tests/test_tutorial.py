"""The tutorial, done as it says: the store fails, is repaired step by step, and holds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.durability.commands import ROOT, environment

_STORE, _TEST, _DIRECTORY_SYNC = re.findall(
    r"```python\n(.*?)```", Path(ROOT, "docs/tutorial.md").read_text(encoding="utf-8"), re.DOTALL
)
_WRITE = '        os.write(self.log, f"{key}={value}\\n".encode())\n'
_SNAPSHOT = "            file.write(lines.encode())\n"
_RENAME = '        os.rename(self._path("snapshot.tmp"), self._path("snapshot"))\n'


def with_line(store: str, behind: str, line: str) -> str:
    assert store.count(behind) == 1
    return store.replace(behind, behind + line)


_SYNCED = with_line(_STORE, _WRITE, "        os.fsync(self.log)\n")
_WHOLE = with_line(
    _SYNCED, _SNAPSHOT, "            file.flush()\n            os.fsync(file.fileno())\n"
)
_REPAIRED = with_line(_WHOLE, _RENAME, _DIRECTORY_SYNC)


def run(store: str, directory: Path) -> tuple[int, str]:
    (directory / "store.py").write_text(store)
    (directory / "test_store.py").write_text(_TEST)
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull,
            "-p", "durability.pytest_plugin", "test_store.py",
        ],
        cwd=directory,
        env={**environment(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("store", "lost"),
    [
        (_STORE, "bytes of log at 0"),
        (_SYNCED, "snapshot"),
        (_WHOLE, "renaming of snapshot.tmp"),
    ],
    ids=["nothing synced", "log synced", "snapshot synced"],
)
def test_each_step_fails_for_the_reason_that_is_told(store: str, lost: str, tmp_path: Path) -> None:
    status, text = run(store, tmp_path)
    assert status == pytest.ExitCode.TESTS_FAILED, text
    assert "BrokenPromiseError: audit: AssertionError: key" in text
    assert any(lost in line for line in text.splitlines() if "lost:" in line), text
    assert "reproduce: durability replay durability-findings/workload-audit-" in text


def test_the_repaired_store_holds(tmp_path: Path) -> None:
    status, text = run(_REPAIRED, tmp_path)
    assert status == pytest.ExitCode.OK, text
    assert "1 passed" in text


def test_it_is_as_long_as_it_says() -> None:
    assert len(_STORE.strip().splitlines()) <= 50
