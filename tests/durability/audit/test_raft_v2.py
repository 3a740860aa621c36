"""What recovery must make of a v2 directory: what holds, what is its to drop, what it must do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from durability.audit.directory import audit_directory, read_directory
from durability.audit.log_entry import EntryType
from tests.durability.audit.v2_files import (
    CONFIGURATION,
    LogWriter,
    Record,
    crc32c,
    example,
    metadata,
    name,
    peer_list,
    sealed,
    segments,
    snapshot,
    write,
)

Files = dict[str, bytes]


def test_the_builder_knows_the_published_check_value() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"6789", crc32c(b"12345")) == 0xE3069283


@pytest.mark.parametrize("recovered", [False, True])
def test_a_whole_directory_holds(tmp_path: Path, recovered: bool) -> None:
    files = example()
    if recovered:
        del files[name(1)]
    found = read_directory(write(tmp_path, files), recovered=recovered)
    audit = found.audit
    assert (audit.verdict, audit.violations, audit.tail) == ("held", [], "clean")
    assert (audit.format, audit.node_id, audit.group_id) == ("v2", 1, 7)
    assert (audit.term, audit.voted_for) == (3, 1)
    assert (audit.first_index, audit.last_index, audit.last_term) == (3, 9, 3)
    assert (audit.snapshot_index, audit.snapshot_term, audit.commit_index) == (4, 1, 4)
    assert audit.durable_index == 7
    assert [peer.id for peer in audit.peers] == [1]
    assert [(entry.index, entry.term, entry.payload) for entry in found.entries] == [
        (3, 1, b"three"),
        (4, 1, b"four"),
        (5, 2, b""),
        (6, 2, b"six"),
        (7, 2, b""),
        (8, 3, b"eight"),
        (9, 3, b"nine"),
    ]
    assert found.entries[2].type is EntryType.NOOP
    assert found.snapshot is not None
    assert found.snapshot.state == b"state-machine"


@pytest.mark.parametrize("recovered", [False, True])
def test_a_node_that_only_has_metadata_holds(tmp_path: Path, recovered: bool) -> None:
    path = write(tmp_path, {"metadata": metadata(term=0, has_vote=0, voted_for=0)})
    audit = audit_directory(path, recovered=recovered)
    assert (audit.verdict, audit.first_index, audit.last_index) == ("held", 1, 0)


def test_the_configuration_in_force_is_the_last_one_in_the_log(tmp_path: Path) -> None:
    log = segments(
        [Record(1, 1, peer_list(1), CONFIGURATION), Record(2, 1, peer_list(1, 2), CONFIGURATION)]
    )
    audit = audit_directory(write(tmp_path, {"metadata": metadata(), **log}))
    assert [peer.id for peer in audit.peers] == [1, 2]


def test_a_log_after_a_snapshot_may_begin_without_a_record_before_it(tmp_path: Path) -> None:
    log = segments([Record(5, 2)], writer=LogWriter(term=1, next_index=5))
    audit = audit_directory(
        write(tmp_path, {"metadata": metadata(), "snapshot": snapshot(4, 1), **log})
    )
    assert (audit.verdict, audit.first_index, audit.last_index) == ("held", 5, 5)


def test_chunks_may_have_a_mebibyte(tmp_path: Path) -> None:
    files = {"metadata": metadata(), "snapshot": snapshot(4, 1, (bytes(2**20), b"."))}
    assert audit_directory(write(tmp_path, files)).verdict == "held"


def test_an_empty_segment_after_the_snapshot_ends_at_the_snapshot(tmp_path: Path) -> None:
    files = {
        "metadata": metadata(),
        "snapshot": snapshot(4, 1),
        name(5): LogWriter(term=1, next_index=5).segment([]),
    }
    audit = audit_directory(write(tmp_path, files), recovered=True)
    assert (audit.verdict, audit.first_index, audit.last_index, audit.last_term) == (
        "held",
        5,
        4,
        1,
    )


def test_a_foreign_segment_is_seen_behind_a_bad_one(tmp_path: Path) -> None:
    files = {
        "metadata": metadata(),
        name(1): bytes(60),
        name(2): LogWriter(directory_id=1, next_index=2).segment([]),
    }
    audit = audit_directory(write(tmp_path, files))
    assert [violation.kind for violation in audit.violations] == ["wrong-directory"]


def _torn(files: Files) -> None:
    files[name(8)] = files[name(8)][:-1]


def _torn_header(files: Files) -> None:
    files[name(8)] = files[name(8)][:59]


def _wrong_in_content(files: Files) -> None:
    files[name(8)] = files[name(8)].replace(b"nine", b"NINE")


def _a_page_of_zeros(files: Files) -> None:
    files[name(8)] = files[name(8)][:60] + bytes(4036)


def _a_later_page_of_the_same_batch(files: Files) -> None:
    """Record 9 is whole, but 8, written by the same sync, is not."""
    files[name(8)] = files[name(8)].replace(b"eight", b"EIGHT")


@pytest.mark.parametrize(
    ("damage", "tail", "last_index"),
    [
        (_torn, "torn", 8),
        (_torn_header, "torn", 7),
        (_wrong_in_content, "ambiguous", 8),
        (_a_page_of_zeros, "ambiguous", 7),
        (_a_later_page_of_the_same_batch, "ambiguous", 7),
    ],
)
def test_a_tail_that_was_not_acknowledged_is_recoverys_to_drop(
    tmp_path: Path, damage: Callable[[Files], None], tail: str, last_index: int
) -> None:
    files = example()
    damage(files)
    path = write(tmp_path, files)
    audit = audit_directory(path)
    assert audit.violations == []
    assert (audit.tail, audit.last_index) == (tail, last_index)
    assert audit.verdict == ("held" if tail == "torn" else "inconclusive")
    assert any(f"{tail} tail" in note for note in audit.notes)
    (tmp_path / name(1)).unlink()
    recovered = audit_directory(path, recovered=True)
    assert [violation.kind for violation in recovered.violations] == ["unclean-tail"]


def test_records_above_a_hole_that_were_never_acknowledged_are_dropped(tmp_path: Path) -> None:
    log = segments([Record(2, 1, durable_index=0)], writer=LogWriter(term=1, next_index=2))
    data = log[name(2)]
    header = data[:40] + bytes(8) + data[48:56]  # known to be durable: nothing
    path = write(tmp_path, {"metadata": metadata(), name(2): sealed(header) + data[60:]})
    audit = audit_directory(path)
    assert (audit.violations, audit.tail, audit.last_index) == ([], "torn", 0)


def test_temporaries_are_a_note_until_recovery(tmp_path: Path) -> None:
    files = example() | {"metadata.tmp": b"half", "snapshot.tmp": b""}
    del files[name(1)]
    path = write(tmp_path, files)
    audit = audit_directory(path)
    assert audit.verdict == "held"
    assert [note.split(":")[0] for note in audit.notes] == ["metadata.tmp", "snapshot.tmp"]
    recovered = audit_directory(path, recovered=True)
    assert [violation.kind for violation in recovered.violations] == ["temporary-left"] * 2


def test_a_temporary_alone_is_a_fresh_node(tmp_path: Path) -> None:
    audit = audit_directory(write(tmp_path, {"metadata.tmp": b"half"}))
    assert (audit.format, audit.verdict, audit.last_index) == ("v2", "held", 0)


@pytest.mark.parametrize("data", [b"anything", example()[name(1)]])
def test_obsolete_segments_are_a_note_until_recovery(tmp_path: Path, data: bytes) -> None:
    files = example() | {name(1): data}
    path = write(tmp_path, files)
    audit = audit_directory(path)
    assert (audit.verdict, audit.first_index) == ("held", 3)
    assert any(name(1) in note for note in audit.notes)
    recovered = audit_directory(path, recovered=True)
    assert [violation.kind for violation in recovered.violations] == ["segment-left"]


@pytest.mark.parametrize(
    ("last_in_old", "kinds"), [(4, []), (3, ["segment-left"]), (5, ["segment-left"])]
)
def test_the_segment_that_ends_at_the_snapshot_may_stay(
    tmp_path: Path, last_in_old: int, kinds: list[str]
) -> None:
    """A node that took a snapshot of all it has goes on in a new segment."""
    old = segments([Record(index, 1) for index in range(1, last_in_old + 1)])
    new = segments([Record(5, 1)], writer=LogWriter(term=1, next_index=5))
    path = write(tmp_path, {"metadata": metadata(), "snapshot": snapshot(4, 1), **old, **new})
    assert audit_directory(path).violations == []
    recovered = audit_directory(path, recovered=True)
    assert [violation.kind for violation in recovered.violations] == kinds


def test_a_replaced_log_that_came_back_claims_nothing(tmp_path: Path) -> None:
    """The old log went on to 20 and was replaced by a snapshot at 10; its unlink was undone."""
    old = segments([Record(index, 1) for index in range(1, 21)])
    new = segments([Record(11, 3)], writer=LogWriter(term=2, next_index=11))
    files = {"metadata": metadata(), "snapshot": snapshot(10, 2), **old, **new}
    audit = audit_directory(write(tmp_path, files))
    assert (audit.verdict, audit.first_index, audit.last_index) == ("held", 11, 11)
    assert audit.durable_index == 10


def test_a_log_that_ends_below_the_snapshot_is_replaced_by_it(tmp_path: Path) -> None:
    log = segments([Record(1, 1), Record(2, 1)])
    path = write(tmp_path, {"metadata": metadata(), "snapshot": snapshot(9, 3), **log})
    found = read_directory(path)
    assert (found.audit.verdict, found.audit.last_index, found.entries) == ("held", 9, [])
    recovered = audit_directory(path, recovered=True)
    assert [violation.kind for violation in recovered.violations] == ["segment-left"]


@pytest.mark.parametrize("first_index", [1, 3])
def test_a_log_that_disagrees_with_the_snapshot_is_replaced_by_it(
    tmp_path: Path, first_index: int
) -> None:
    """At its index, in a record or in what the first segment says of the entry before it."""
    writer = LogWriter(term=int(first_index > 1), next_index=first_index)
    log = segments([Record(index, 1) for index in range(first_index, 5)], writer=writer)
    path = write(tmp_path, {"metadata": metadata(), "snapshot": snapshot(2, 3), **log})
    found = read_directory(path)
    assert (found.audit.verdict, found.audit.last_index, found.entries) == ("held", 2, [])
    assert any("drops the log" in note for note in found.audit.notes)
    recovered = audit_directory(path, recovered=True)
    assert [violation.kind for violation in recovered.violations] == ["snapshot-mismatch"]


def test_a_vote_for_a_node_that_is_no_member_now_is_a_note(tmp_path: Path) -> None:
    audit = audit_directory(write(tmp_path, example() | {"metadata": metadata(voted_for=9)}))
    assert (audit.verdict, audit.voted_for) == ("held", 9)
    assert any("vote is for node 9" in note for note in audit.notes)


def test_a_segment_that_is_not_a_file_is_corrupt(tmp_path: Path) -> None:
    files = example()
    del files[name(6)]
    path = write(tmp_path, files)
    (tmp_path / name(6)).mkdir()
    audit = audit_directory(path)
    assert [violation.kind for violation in audit.violations] == ["corrupt"]
    assert "regular file" in audit.violations[0].message
