"""Lint: what was not durable at an acknowledgement, from a trace alone."""

import dataclasses
from pathlib import Path

import pytest

from durability.crash.models import MODELS
from durability.lint import exposed
from durability.mutants.edited import edit, edited_package
from durability.mutants.planted import PLANTED
from durability.targets import catalogue
from durability.trace.records import AnyRecord, Open, Output, Rename, Sync, Truncate, Write
from durability.trace.trace import Trace
from tests.durability.commands import ROOT, durability

HELD, VIOLATION = range(2)
TARGET = catalogue.find("reference")
CREATE = 0o100 | 0o1


def trace(*records: AnyRecord) -> Trace:
    return Trace([], list(records))


def write(name: bytes, file: int = 1, offset: int = 0) -> list[AnyRecord]:
    return [
        Open(1, file, name, CREATE, created=True),
        Write(1, file, name, offset, b"x" * 10, 10),
    ]


def found(model: str, *records: AnyRecord) -> list[tuple[str, str]]:
    return [
        (one.acknowledgement, one.operation)
        for one in exposed(trace(*records), TARGET, MODELS[model])
    ]


def test_what_is_synced_is_no_finding() -> None:
    records = [*write(b"log"), Sync(1, b"log", data_only=False, file=1), Output(b"ack 1\n")]
    assert found("ext4-ordered", *records) == []
    assert found("btrfs", *records) == []


def test_a_name_is_durable_with_its_file_on_file_systems_but_not_by_posix() -> None:
    records = [*write(b"log"), Sync(1, b"log", data_only=False, file=1), Output(b"ack 1\n")]
    assert found("posix-default", *records) == [("1", "creation of log")]
    records.insert(3, Sync(1, b"", data_only=False))
    assert found("posix-default", *records) == []


def test_each_is_told_once_with_the_first_that_did_not_wait() -> None:
    records = [*write(b"log"), Output(b"ack 1\n"), Output(b"ack 2\n")]
    expected = [("1", "creation of log"), ("1", "10 bytes of log at 0")]
    assert found("xfs", *records) == expected


def test_a_rename_that_is_not_synced_is_a_finding_until_it_is() -> None:
    records = [
        *write(b"metadata.tmp"),
        Sync(1, b"metadata.tmp", data_only=False, file=1),
        Rename(1, b"metadata.tmp", b"metadata"),
        Output(b"ack 1\n"),
    ]
    assert [operation for _, operation in found("xfs", *records)] == [
        "renaming of metadata.tmp to metadata"
    ]
    records.insert(4, Sync(1, b"", data_only=False))
    assert found("xfs", *records) == []


def test_an_acknowledgement_is_a_whole_line() -> None:
    records = [*write(b"log"), Output(b"ack"), Output(b" 1")]
    assert found("xfs", *records) == []
    assert found("xfs", *records, Output(b"\n"))[0][0] == "1"


def test_a_size_that_no_write_brings_is_told_by_itself() -> None:
    synced = [*write(b"log"), Sync(1, b"log", data_only=False, file=1)]
    grown = [*synced, Truncate(1, 1, b"log", 100), Output(b"ack 1\n")]
    assert found("xfs", *grown) == [("1", "size of log to 100 bytes")]


def test_what_recovery_does_not_trust_need_not_be_durable() -> None:
    records = [*write(b"items-shm"), Output(b"ack 1\n")]
    assert found("xfs", *records) != []
    volatile = dataclasses.replace(TARGET, volatile=("*-shm",))
    assert list(exposed(trace(*records), volatile, MODELS["xfs"])) == []


@pytest.mark.parametrize("model", ["ext4-ordered,xfs,btrfs", "posix-default"])
def test_the_built_in_node_waits_for_everything(model: str, tmp_path: Path) -> None:
    done = durability("lint", "reference", "--model", model, cwd=str(tmp_path))
    assert done.status == HELD, done.stdout
    assert done.document["findings"] == []
    assert done.document["acks"] > 50


def test_the_command_tells_what_where_and_under_which_model(tmp_path: Path) -> None:
    store = f"{ROOT}/tests/stores/log_store.py:unsynced_names:recover"
    done = durability("lint", store, "--model", "xfs,posix-default", cwd=str(tmp_path))
    assert done.status == VIOLATION
    assert len(done.document["findings"]) == 6
    assert {one["model"] for one in done.document["findings"]} == {"posix-default"}
    assert done.document["findings"][0]["path"] == "log0"
    assert {one["kind"] for one in done.document["violations"]} == {"not-durable"}


def test_a_planted_defect_is_found_with_its_line(tmp_path: Path) -> None:
    """Entries that the node appends to its log and acknowledges without a sync."""
    defect = next(one for one in PLANTED if one.id == "D28")
    source = edit(defect.path, defect.old, defect.new)
    appending = source[: source.index("file.append(data)")].count("\n") + 1
    with edited_package(defect.path, source) as root:
        edited = ("env", f"PYTHONPATH={root}:{ROOT}")
        done = durability("lint", defect.target, "--model", "xfs", cwd=str(tmp_path), within=edited)
    assert done.status == VIOLATION, done.stdout
    lost = [one for one in done.document["findings"] if " bytes of " in one["operation"]]
    assert lost
    for one in lost:
        innermost, caller, *_ = one["source"].split(" < ")
        assert innermost.startswith("raft/filesystem.py:")
        assert caller == f"raft/log.py:{appending}"
