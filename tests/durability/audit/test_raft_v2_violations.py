"""Every way to break a v2 directory at rest, and the one kind of violation that it is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from durability.audit.directory import audit_directory
from tests.durability.audit.v2_files import (
    CONFIGURATION,
    LogWriter,
    Record,
    example,
    metadata,
    name,
    peer_list,
    preamble,
    segments,
    snapshot,
    write,
)

Files = dict[str, bytes]


# Each of these takes the good example away by one step, and names the one kind that it breaks.
def _without_metadata(files: Files) -> None:
    del files["metadata"]


def _rot_in_a_durable_record(files: Files) -> None:
    data = files[name(6)]
    files[name(6)] = data.replace(b"six", b"sIx")


def _a_flipped_length_hides_nothing(files: Files) -> None:
    """Only the records behind the bad one, in the same file, say that it was durable."""
    log = segments([Record(index, 1, b"payload") for index in range(1, 6)])
    data = bytearray(log[name(1)])
    data[60 + 33] ^= 0x40
    files.clear()
    files.update({"metadata": metadata(), name(1): bytes(data)})


def _a_stale_record_with_a_good_crc(files: Files) -> None:
    """Right in itself, but it continues another record: left by a truncation and rewrite."""
    old = segments([Record(1, 1, b"a"), Record(2, 1, b"b"), Record(3, 1, b"c")])[name(1)]
    new = segments([Record(1, 1, b"x")])[name(1)]
    files.clear()
    files.update({"metadata": metadata(), name(1): new + old[len(new) :]})


def _a_falling_term(files: Files) -> None:
    files.clear()
    log = segments([Record(1, 3), Record(2, 2), Record(3, 3)])
    files.update({"metadata": metadata(), **log})


def _an_index_out_of_order(files: Files) -> None:
    files.clear()
    log = segments([Record(1, 1), Record(3, 1), Record(4, 1)])
    files.update({"metadata": metadata(), **log})


def _an_unknown_entry_type(files: Files) -> None:
    files.clear()
    log = segments([Record(1, 1, b"", 3), Record(2, 1)])
    files.update({"metadata": metadata(), **log})


def _a_segment_with_another_first_index(files: Files) -> None:
    log = segments([Record(1, 1), Record(2, 1)])
    files.clear()
    files.update({"metadata": metadata(), name(2): log[name(1)]})


def _a_first_entry_with_one_before_it(files: Files) -> None:
    files.clear()
    log = segments([Record(1, 2), Record(2, 2)], writer=LogWriter(term=1))
    files.update({"metadata": metadata(), **log})


def _a_segment_that_continues_another_term(files: Files) -> None:
    writer = LogWriter()
    first = writer.segment([Record(1, 1), Record(2, 1)])
    writer.term = 2
    files.clear()
    files.update(
        {
            "metadata": metadata(),
            name(1): first,
            name(3): writer.segment([Record(3, 2), Record(4, 2)]),
        }
    )


def _a_segment_that_continues_another_crc(files: Files) -> None:
    writer = LogWriter()
    first = writer.segment([Record(1, 1), Record(2, 1)])
    writer.crc ^= 1
    files.clear()
    files.update(
        {
            "metadata": metadata(),
            name(1): first,
            name(3): writer.segment([Record(3, 1), Record(4, 1)]),
        }
    )


def _segments_that_overlap(files: Files) -> None:
    writer = LogWriter()
    first = writer.segment([Record(1, 1), Record(2, 1), Record(3, 1)])
    writer.next_index = 3
    files.clear()
    files.update(
        {
            "metadata": metadata(durable_index=5),
            name(1): first,
            name(3): writer.segment([Record(3, 1)]),
        }
    )


def _a_reserved_field_in_a_segment(files: Files) -> None:
    files.clear()
    files.update(
        {
            "metadata": metadata(),
            name(1): LogWriter().segment([Record(1, 1), Record(2, 1)], reserved=1),
        }
    )


def _a_reserved_field_in_the_preamble(files: Files) -> None:
    files["metadata"] = metadata(head=preamble(b"RAFTMETA", zero=1))


def _another_magic(files: Files) -> None:
    files["metadata"] = metadata(head=preamble(b"RAFTSNAP"))


def _half_a_vote(files: Files) -> None:
    files["metadata"] = metadata(has_vote=0, voted_for=1)


def _no_boolean_for_a_vote(files: Files) -> None:
    files["metadata"] = metadata(has_vote=2)


def _bytes_after_the_metadata(files: Files) -> None:
    files["metadata"] += b"\0"


def _bytes_after_the_snapshot(files: Files) -> None:
    files["snapshot"] += b"\0"


def _chunks_in_another_order(files: Files) -> None:
    files["snapshot"] = snapshot(4, 1, (b"one", b"two"))
    good = files["snapshot"]
    at = good.index(b"one") - 8
    files["snapshot"] = good[:at] + good[at + 11 : at + 22] + good[at : at + 11] + good[at + 22 :]


def _a_chunk_above_one_mebibyte(files: Files) -> None:
    files["snapshot"] = snapshot(4, 1, (bytes(2**20), bytes(2**20 + 1)))


def _a_malformed_peer_list_in_the_snapshot(files: Files) -> None:
    files["snapshot"] = snapshot(4, 1, peers=peer_list(1, role=2))


def _an_index_beyond_any_log(files: Files) -> None:
    files["snapshot"] = snapshot(2**64 - 1, 1)


def _a_missing_segment(files: Files) -> None:
    del files[name(6)]


def _a_missing_first_segment(files: Files) -> None:
    del files["snapshot"], files[name(1)]


def _a_missing_last_segment(files: Files) -> None:
    files["metadata"] = metadata(durable_index=9)
    del files[name(8)]


def _a_missing_log(files: Files) -> None:
    for index in (1, 3, 6, 8):
        del files[name(index)]
    files["metadata"] = metadata(durable_index=9)


def _another_total(files: Files) -> None:
    files["snapshot"] = snapshot(4, 1, total=12)


def _a_configuration_that_the_log_does_not_have(files: Files) -> None:
    log = segments([Record(1, 1, peer_list(1), CONFIGURATION), Record(2, 1)])
    files.clear()
    files.update({"metadata": metadata(), "snapshot": snapshot(1, 1, peers=peer_list(1, 2)), **log})


def _an_entry_above_the_current_term(files: Files) -> None:
    files["metadata"] = metadata(term=2)


def _a_snapshot_above_the_current_term(files: Files) -> None:
    files.clear()
    files.update({"metadata": metadata(term=3), "snapshot": snapshot(4, 4)})


def _a_vote_in_term_0(files: Files) -> None:
    files.clear()
    files["metadata"] = metadata(term=0)


def _a_vote_for_nobody(files: Files) -> None:
    files["metadata"] = metadata(has_vote=1, voted_for=0)


def _a_configuration_without_voter(files: Files) -> None:
    log = segments([Record(1, 1, peer_list(1, role=1), CONFIGURATION)])
    files.clear()
    files.update({"metadata": metadata(), **log})


def _a_configuration_with_a_peer_twice(files: Files) -> None:
    log = segments([Record(1, 1, peer_list(1, 1), CONFIGURATION)])
    files.clear()
    files.update({"metadata": metadata(), **log})


def _a_configuration_that_is_none(files: Files) -> None:
    log = segments([Record(1, 1, peer_list(1) + b"?", CONFIGURATION), Record(2, 1)])
    files.clear()
    files.update({"metadata": metadata(), **log})


def _another_directorys_snapshot(files: Files) -> None:
    files["snapshot"] = snapshot(4, 1, directory_id=1)


def _another_directorys_segment(files: Files) -> None:
    writer = LogWriter(directory_id=1, term=2, next_index=8)
    files[name(8)] = writer.segment([Record(8, 3)])


def _a_newer_version(files: Files) -> None:
    files["metadata"] = metadata(head=preamble(b"RAFTMETA", version=3))


def _a_feature_not_known(files: Files) -> None:
    files["snapshot"] = snapshot(4, 1, head=preamble(b"RAFTSNAP", features=1))


def _a_newer_segment(files: Files) -> None:
    writer = LogWriter(term=2, next_index=8)
    files[name(8)] = writer.segment([Record(8, 3)], head=preamble(b"RAFTSEGM", version=3))


AT_REST: list[tuple[str, Callable[[Files], None]]] = [
    ("corrupt", _without_metadata),
    ("corrupt", _rot_in_a_durable_record),
    ("corrupt", _a_flipped_length_hides_nothing),
    ("corrupt", _a_stale_record_with_a_good_crc),
    ("corrupt", _a_falling_term),
    ("corrupt", _an_index_out_of_order),
    ("corrupt", _an_unknown_entry_type),
    ("wrong-directory", _a_segment_with_another_first_index),
    ("corrupt", _a_first_entry_with_one_before_it),
    ("corrupt", _a_segment_that_continues_another_term),
    ("corrupt", _a_segment_that_continues_another_crc),
    ("corrupt", _segments_that_overlap),
    ("corrupt", _a_reserved_field_in_a_segment),
    ("corrupt", _a_reserved_field_in_the_preamble),
    ("corrupt", _another_magic),
    ("corrupt", _half_a_vote),
    ("corrupt", _no_boolean_for_a_vote),
    ("corrupt", _bytes_after_the_metadata),
    ("corrupt", _bytes_after_the_snapshot),
    ("corrupt", _chunks_in_another_order),
    ("corrupt", _a_chunk_above_one_mebibyte),
    ("corrupt", _a_malformed_peer_list_in_the_snapshot),
    ("corrupt", _an_index_beyond_any_log),
    ("log-gap", _a_missing_segment),
    ("log-gap", _a_missing_first_segment),
    ("commit-beyond-log", _a_missing_last_segment),
    ("commit-beyond-log", _a_missing_log),
    ("snapshot-mismatch", _another_total),
    ("snapshot-mismatch", _a_configuration_that_the_log_does_not_have),
    ("term-beyond-metadata", _an_entry_above_the_current_term),
    ("term-beyond-metadata", _a_snapshot_above_the_current_term),
    ("invalid-vote", _a_vote_in_term_0),
    ("invalid-vote", _a_vote_for_nobody),
    ("invalid-configuration", _a_configuration_without_voter),
    ("invalid-configuration", _a_configuration_with_a_peer_twice),
    ("corrupt", _a_configuration_that_is_none),
    ("wrong-directory", _another_directorys_snapshot),
    ("wrong-directory", _another_directorys_segment),
    ("unknown-format", _a_newer_version),
    ("unknown-format", _a_feature_not_known),
    ("unknown-format", _a_newer_segment),
]


@pytest.mark.parametrize(
    ("kind", "damage"), AT_REST, ids=lambda case: getattr(case, "__name__", case)
)
def test_a_broken_guarantee_is_named(
    tmp_path: Path, kind: str, damage: Callable[[Files], None]
) -> None:
    files = example()
    damage(files)
    audit = audit_directory(write(tmp_path, files))
    assert audit.verdict == "violation"
    assert [violation.kind for violation in audit.violations] == [kind]
    assert audit.violations[0].invariant.endswith(".")


def test_a_violation_says_where(tmp_path: Path) -> None:
    files = example()
    _rot_in_a_durable_record(files)
    (violation,) = audit_directory(write(tmp_path, files)).violations
    assert f"{name(6)}: entry 6: the crc of record 6 is" in violation.message
    assert "at offset 60; entries up to 7 were durable" in violation.message
