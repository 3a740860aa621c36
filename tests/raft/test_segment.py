import struct

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from raft.errors import CorruptionError, UnsupportedFormatError
from raft.log_entry import EntryType, LogEntry
from raft.peer import Peer, PeerRole, encode_peers
from raft.preamble import checksum_seed
from raft.segment import (
    Tail,
    encode_header,
    encode_records,
    largest_claim,
    read_segment,
    segment_first_index,
    segment_name,
)

SEED = checksum_seed(11)
START = Tail(0, 0, SEED)
PATH = "somewhere"


def entries(*data: bytes, first_index: int = 1, term: int = 1) -> list[LogEntry]:
    return [LogEntry(term, first_index + n, EntryType.NORMAL, d) for n, d in enumerate(data)]


def segment(*batches: list[LogEntry], before: Tail = START) -> bytes:
    parts = [encode_header(11, before)]
    for batch in batches:
        data, crc = encode_records(batch, SEED, before)
        parts.append(data)
        before = Tail(batch[-1].index, batch[-1].term, crc)
    return b"".join(parts)


def test_the_layout_is_the_documented_one() -> None:
    seed = crc32c(struct.pack("<Q", 11))
    header = b"RAFTSEGM" + struct.pack("<HHIQQQQII", 2, 0, 0, 11, 5, 2, 4, 0xABCD, 0)
    expected = header + struct.pack("<I", crc32c(header))
    crc = 0xABCD
    batch = [
        LogEntry(2, 5, EntryType.NORMAL, b"five"),
        LogEntry(3, 6, EntryType.NOOP),
        LogEntry(3, 7, EntryType.CONFIGURATION, encode_peers([Peer(1, PeerRole.VOTER, "")])),
    ]
    for entry in batch:
        checked = struct.pack("<IQ", crc, 4) + entry.encode()
        crc = crc32c(checked, seed)
        expected += struct.pack("<I", crc) + checked
    before = Tail(4, 2, 0xABCD)
    assert segment(batch, before=before) == expected
    read = read_segment(expected, PATH, 5, 11, before)
    assert (read.entries, read.tail) == (batch, Tail(7, 3, crc))
    assert (read.before, read.end, read.flaw) == (before, len(expected), None)


@given(st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=4), max_size=4))
def test_every_prefix_reads_as_the_records_that_are_whole(batches: list[list[bytes]]) -> None:
    index = 1
    written: list[list[LogEntry]] = []
    for data in batches:
        written.append(entries(*data, first_index=index))
        index += len(data)
    whole = segment(*written)
    flat = [entry for batch in written for entry in batch]
    ends = [60]
    for entry in flat:
        ends.append(ends[-1] + 37 + len(entry.data))
    for size in range(len(whole) + 1):
        read = read_segment(whole[:size], PATH, 1, 11, START)
        count = sum(end <= size for end in ends) - 1
        assert read.entries == flat[: max(count, 0)]
        assert (read.flaw is None) == (size in ends)
        if read.flaw is not None:
            assert read.flaw.torn
            assert read.flaw.index == max(count, 0) + 1
            assert read.flaw.offset == read.end == (ends[count] if count >= 0 else 0)


def test_names_say_the_first_index() -> None:
    assert segment_name(17) == "00000000000000000017.segment"
    for index in (1, 17, 10**20 - 1):
        assert segment_first_index(segment_name(index)) == index


@pytest.mark.parametrize(
    "name",
    [
        "metadata",
        "17.segment",
        "00000000000000000000.segment",
        "00000000000000000017.segment.tmp",
        "x00000000000000000017.segment",
        "\N{ARABIC-INDIC DIGIT ONE}" * 20 + ".segment",
    ],
)
def test_other_names_are_not_segments(name: str) -> None:
    assert segment_first_index(name) is None


@pytest.mark.parametrize(
    "before", [Tail(0, 1, SEED), Tail(0, 0, SEED + 1), Tail(4, 0, SEED)], ids=str
)
def test_a_segment_that_does_not_continue_the_log_is_flawed(before: Tail) -> None:
    data = segment(entries(b"a"))
    assert read_segment(data, PATH, 1, 11, START).flaw is None
    assert read_segment(data, PATH, 1, 11, None).flaw is None
    read = read_segment(data, PATH, 1, 11, before)
    assert read.flaw is not None
    assert (read.flaw.offset, read.flaw.index, read.end) == (0, before.index + 1, 0)


def test_versions_and_features_of_a_later_day_are_refused() -> None:
    data = segment(entries(b"a"))
    with pytest.raises(UnsupportedFormatError, match="somewhere has format version 3"):
        read_segment(data[:8] + b"\3" + data[9:], PATH, 1, 11, None)
    with pytest.raises(UnsupportedFormatError, match="features 0x80000000"):
        read_segment(data[:15] + b"\x80" + data[16:], PATH, 1, 11, None)


@pytest.mark.parametrize(("directory_id", "first_index"), [(12, 1), (11, 2)])
def test_an_intact_header_of_another_file_is_corrupt(directory_id: int, first_index: int) -> None:
    with pytest.raises(CorruptionError, match="it is the segment of index 1 in directory 0xb"):
        read_segment(segment(entries(b"a")), PATH, first_index, directory_id, None)


def test_the_largest_claim_is_found_behind_damage_of_any_length() -> None:
    batches = [entries(bytes(range(256)), first_index=n) for n in range(1, 6)]
    data = segment(*batches)
    assert largest_claim(data, 60, 11, at_least=0) == 4
    assert largest_claim(data[:-1], 60, 11, at_least=0) == 3
    assert largest_claim(data, 60, 11, at_least=5) == 0
    assert largest_claim(data, 60, 12, at_least=0) == 0
    last = len(data) - 37 - 256
    for offset in range(last + 1):
        assert largest_claim(data, offset, 11, at_least=0) == 4
    for offset in range(last + 1, len(data) + 1):
        assert largest_claim(data, offset, 11, at_least=0) == 0
    shifted = data[:100] + b"?" + data[100:]
    assert largest_claim(shifted, 60, 11, at_least=0) == 4


@pytest.mark.parametrize("first_index", [2, 255, 256, 70_000, 2**40, 2**63])
def test_a_claim_is_found_whatever_index_the_record_has(first_index: int) -> None:
    """What was damaged may be far below: the files between may be damaged or missing too."""
    before = Tail(first_index - 1, 1, 0xABCD)
    data = segment(entries(b"a", first_index=first_index), before=before)
    assert largest_claim(data, 60, 11, at_least=1) == first_index - 1


def test_a_claim_is_found_behind_pages_of_zeros() -> None:
    record = segment(entries(b"a", first_index=7), before=Tail(6, 1, 0))[60:]
    for size in (1, 4095, 4096, 1 << 16):
        assert largest_claim(bytes(size) + record, 0, 11, at_least=1) == 6


def test_a_record_of_an_unknown_type_claims_nothing() -> None:
    checked = struct.pack("<IQ", 0, 6) + struct.pack("<QQBI", 1, 7, len(EntryType), 0)
    record = struct.pack("<I", crc32c(checked, SEED)) + checked
    assert len(record) == 37
    assert largest_claim(record, 0, 11, at_least=1) == 0
    known = checked[:28] + bytes([EntryType.NOOP]) + checked[29:]
    record = struct.pack("<I", crc32c(known, SEED)) + known
    assert largest_claim(record, 0, 11, at_least=1) == 6
