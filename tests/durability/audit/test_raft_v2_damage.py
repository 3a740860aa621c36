"""Damage at every byte, and bytes that nobody wrote: nothing wrong is ever taken for right."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durability.audit.directory import RecoveredDirectory, read_directory
from tests.durability.audit.v2_files import Record, example, metadata, name, segments, write

DURABLE_INDEX: Final = 7
NEEDED: Final = ("metadata", "snapshot", name(3), name(6), name(8))


def state(found: RecoveredDirectory) -> object:
    audit = found.audit
    return (audit.term, audit.voted_for, audit.node_id, audit.group_id, found.snapshot)


@pytest.fixture
def judge(tmp_path: Path) -> Callable[[str, bytes], RecoveredDirectory]:
    """Put one damaged file among the good ones and check the answer against what is there."""
    files = example()
    path = write(tmp_path, files)
    good = read_directory(path)

    def judged(file: str, data: bytes) -> RecoveredDirectory:
        (tmp_path / file).write_bytes(data)
        found = read_directory(path)
        (tmp_path / file).write_bytes(files[file])
        if found.audit.verdict != "violation":
            kept = len(found.entries)
            assert state(found) == state(good)
            assert list(found.entries) == list(good.entries[:kept])
            assert found.audit.last_index == found.entries[-1].index >= DURABLE_INDEX
        return found

    return judged


_FORMAT = (8, 9, 12, 13, 14, 15)
"""Where version and required features stand in every file."""


def flips(data: bytes) -> Iterator[tuple[int, bytes]]:
    for offset in range(len(data)):
        for mask in (0x01, 0x80, 0xFF):
            flipped = bytearray(data)
            flipped[offset] ^= mask
            yield offset, bytes(flipped)


@pytest.mark.parametrize("file", NEEDED)
def test_no_flipped_byte_goes_unseen(
    judge: Callable[[str, bytes], RecoveredDirectory], file: str
) -> None:
    for offset, data in flips(example()[file]):
        audit = judge(file, data).audit
        assert audit.verdict != "held" or audit.tail == "torn", offset
        if file != name(8):
            assert audit.verdict == "violation", offset


def test_what_is_obsolete_may_be_anything(
    judge: Callable[[str, bytes], RecoveredDirectory],
) -> None:
    for offset, data in flips(example()[name(1)]):
        audit = judge(name(1), data).audit
        assert audit.last_index == 9, offset
        # What a later version wrote is not for this one to remove: the node refuses to.
        kinds = ["unknown-format"] if offset in _FORMAT else []
        assert [violation.kind for violation in audit.violations] == kinds, offset


@pytest.mark.parametrize("file", NEEDED)
def test_no_truncation_goes_unseen_below_the_durable_index(
    judge: Callable[[str, bytes], RecoveredDirectory], file: str
) -> None:
    whole = example()[file]
    boundaries = {60, 60 + 37 + len(b"eight")}
    for size in range(len(whole)):
        audit = judge(file, whole[:size]).audit
        if file != name(8):
            assert audit.verdict == "violation", size
        else:
            assert audit.verdict == "held", size
            assert audit.tail == ("clean" if size in boundaries else "torn"), size


@pytest.mark.parametrize("file", NEEDED)
@pytest.mark.parametrize("more", [b"\0", bytes(37), bytes(4096), b"\xff" * 60])
def test_no_byte_is_taken_for_an_entry(
    judge: Callable[[str, bytes], RecoveredDirectory], file: str, more: bytes
) -> None:
    found = judge(file, example()[file] + more)
    if file in {name(6), name(8)}:  # above the durable index: dropped, with what comes after it
        assert found.audit.tail in {"torn", "ambiguous"}
        assert found.audit.last_index == (7 if file == name(6) else 9)
    else:
        assert found.audit.verdict == "violation"


def test_a_stale_suffix_of_the_same_file_is_no_log(
    judge: Callable[[str, bytes], RecoveredDirectory],
) -> None:
    whole = example()[name(8)]
    shorter = segments([Record(1, 1, b"v")])[name(1)][60:]
    found = judge(name(8), whole[:60] + shorter + whole[60 + len(shorter) :])
    assert found.audit.tail == "ambiguous"


def test_a_length_field_allocates_nothing(
    judge: Callable[[str, bytes], RecoveredDirectory],
) -> None:
    """Each u32 length of each file claims 4 GiB; an allocation of it would end the process."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, limit[1]))
    try:
        for file in ("snapshot", name(8)):
            whole = example()[file]
            for offset in range(len(whole) - 3):
                judge(file, whole[:offset] + b"\xff" * 4 + whole[offset + 4 :])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)


FILE_NAMES: Final = st.sampled_from(
    ["metadata", "snapshot", "metadata.tmp", name(1), name(2), name(3), name(2**63), "raft_meta",
     "0000000000000001.log", "0000000000000002.log", "other", "lost+found"]
)  # fmt: skip


@st.composite
def spliced(draw: st.DrawFn) -> bytes:
    """Parts of good files, so that the damage is met behind the magic and the version, too."""
    good = sorted(example().values())
    parts = draw(
        st.lists(
            st.one_of(
                st.binary(max_size=80),
                st.builds(
                    lambda data, begin, size: data[begin : begin + size],
                    st.sampled_from(good),
                    st.integers(0, 100),
                    st.integers(0, 200),
                ),
                st.sampled_from(good),
            ),
            max_size=3,
        )
    )
    return b"".join(parts)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(files=st.dictionaries(FILE_NAMES, spliced(), max_size=5), with_metadata=st.booleans())
def test_any_bytes_get_a_verdict(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], with_metadata: bool
) -> None:
    if with_metadata:
        files["metadata"] = metadata()
    path = write(tmp_path_factory.mktemp("any"), files)
    for recovered in (False, True):
        audit = read_directory(path, recovered=recovered).audit
        assert (audit.verdict == "violation") == bool(audit.violations)
        assert msgspec.json.decode(msgspec.json.encode(audit))["verdict"] == audit.verdict
