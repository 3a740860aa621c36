"""The fixture `durability`, in a pytest of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.durability.commands import ROOT, environment

_TESTS = """
from tests.stores import log_store

def test_good(durability):
    durability(log_store.good, log_store.recover, models=["xfs"], kills=5)

def test_bad(durability):
    durability(log_store.unsynced, log_store.recover, models=["xfs"], kills=0)

def test_shown(durability):
    checked = durability.check(log_store.unsynced, log_store.recover, models=["xfs"], kills=0)
    assert checked.verdict == "violation"

def test_silent(durability):
    durability(log_store.silent, log_store.recover, models=["xfs"], kills=5)
"""


def run(tmp_path: Path, *arguments: str) -> tuple[int, str]:
    (tmp_path / "test_stores.py").write_text(_TESTS)
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull,
            "-p", "durability.pytest_plugin", *arguments, "test_stores.py",
        ],
        cwd=tmp_path,
        env={**environment(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_test_fails_with_what_was_lost(tmp_path: Path) -> None:
    status, text = run(tmp_path, "-k", "good or bad or shown")
    assert status == pytest.ExitCode.TESTS_FAILED, text
    assert "2 passed, 1 failed" in text or "1 failed, 2 passed" in text
    assert "BrokenPromiseError: audit: AssertionError: [] of [0]" in text
    assert "lost:      2 bytes of log at 0" in text
    assert "reproduce: durability replay durability-findings/unsynced-audit-" in text
    assert "raise_for_violations" not in text, "the traceback ends in the test"


def test_nothing_shown_fails_too(tmp_path: Path) -> None:
    status, text = run(tmp_path, "-k", "silent")
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "InconclusiveError" in text


def test_the_time_of_a_check_is_an_option(tmp_path: Path) -> None:
    status, text = run(tmp_path, "-k", "good", "--durability-budget", "0.0001")
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "time was up" in text
