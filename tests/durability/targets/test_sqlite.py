import os
import tempfile
from pathlib import Path

import pytest

from durability.recovery.recovery import Outcome, recover
from durability.targets import sqlite
from durability.targets.contract import Target
from durability.trace.kill_order import KillOrder
from durability.trace.records import Rename, Sync, Unlink, Write
from durability.trace.supervisor import Run, Supervisor
from tests.durability.commands import durability
from tests.durability.trace.alone import alone

HELD = 0


@pytest.mark.parametrize("name", ["sqlite-rollback", "sqlite-wal"])
@pytest.mark.parametrize("tear", ["page", "byte"])
def test_sqlite_holds(name: str, tear: str, tmp_path: Path) -> None:
    arguments = ("crash", name, "--kills", "40", "--tear", tear, "--seed", "1")
    done = durability(*arguments, cwd=str(tmp_path))
    assert done.status == HELD, done.stdout + done.stderr
    assert done.document["landed"] == 40
    assert done.document["acked"] > 100


@pytest.mark.parametrize("name", ["sqlite-rollback", "sqlite-wal"])
def test_sqlite_holds_on_what_kills_have_left(name: str, tmp_path: Path) -> None:
    arguments = ("crash", name, "--kills", "8", "--chain", "--in-recovery", "--seed", "1")
    done = durability(*arguments, cwd=str(tmp_path))
    assert done.status == HELD, done.stdout + done.stderr
    assert done.document["kills_by_link"] == [8, 8, 8]
    assert done.document["recoveries_killed"] > 4


@pytest.mark.parametrize("name", ["sqlite-rollback", "sqlite-wal"])
def test_sqlite_holds_in_every_state_of_one_run(name: str, tmp_path: Path) -> None:
    done = durability("crash", name, "--offline", "--seed", "1", cwd=str(tmp_path))
    assert done.status == HELD, done.stdout + done.stderr
    assert done.document["coverage"] == 1
    assert done.document["states"] > 200
    assert done.document["torn"] > 20


@pytest.mark.parametrize("name", ["sqlite-rollback", "sqlite-wal"])
def test_sqlite_holds_on_a_disk_whose_syncs_fail(name: str, tmp_path: Path) -> None:
    # So far there was no checkpoint, which would write again what a failed sync has lost.
    arguments = ("disk", name, "--fault", "sync-eio-kept,sync-eio-reverted", "--bytes", "60000")
    done = durability(*arguments, cwd=str(tmp_path))
    assert done.status == HELD, done.stdout + done.stderr
    assert all(of["fired"] == of["possible"] > 5 for of in done.document["faults"].values())


def traced(target: Target, offset: int) -> Run:
    """Run a target up to a byte, in a directory that is thrown away."""

    def run() -> Run:
        with tempfile.TemporaryDirectory() as directory:
            supervisor = Supervisor(volatile=target.volatile)
            return supervisor.run(target.workload(directory), directory, KillOrder(offset))

    return alone(run)


def test_what_is_explored_has_transactions_checkpoints_and_a_rolled_back_past() -> None:
    rollback = traced(sqlite.rollback(), sqlite.STREAM_BYTES)
    deleted = [record for record in rollback.trace.records if isinstance(record, Unlink)]
    assert rollback.landed()
    assert len(deleted) > 8, "each transaction ends by removing its journal"
    wal = traced(sqlite.wal(), sqlite.STREAM_BYTES)
    written = [r.path for r in wal.trace.records if isinstance(r, Write)]
    assert wal.landed()
    assert written.count(b"items.db-wal") > 50
    assert written.count(b"items.db") > 10, "checkpoints write the database itself"
    assert any(isinstance(record, Sync) for record in wal.trace.records)
    assert not any(isinstance(record, Rename) for record in wal.trace.records)


def test_the_index_of_the_log_is_mapped_and_without_being_named_nothing_lands() -> None:
    target = sqlite.wal()
    named = Target(target.name, target.workload, target.recovery, target.speech)
    run = traced(named, 100_000)
    assert run.reached
    assert not run.landed()
    assert run.trace.untraceable() == ["mmap of items.db-shm"]


def test_without_a_journal_it_does_not_hold() -> None:
    """The control: a transaction of several pages that is cut short must be found."""
    target = sqlite.of_mode("off", "OFF")

    def outcomes() -> set[Outcome]:
        found: set[Outcome] = set()
        supervisor = Supervisor(volatile=target.volatile)
        for offset in range(100_000, 160_000, 4096):
            with tempfile.TemporaryDirectory() as directory:
                order = KillOrder(offset, tear="page")
                assert supervisor.run(target.workload(directory), directory, order).landed()
                assert os.path.exists(os.path.join(directory, "items.db"))
                found.add(recover(target, directory).outcome)
        return found

    assert "failed" in alone(outcomes)
